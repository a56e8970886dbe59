"""Work on many items under limits of time and memory, in worker processes that may hang or crash.

- `limits`: the limits, and how much work an item is.
- `pool`: the pool that distributes items, and ends processes that exceed a limit.
- `worker`: the worker process and its messages.
- `memory`: how a process limits and measures its memory.

It exports nothing; `each_limited` of `pool` is the function to call.

May import: base.
"""
