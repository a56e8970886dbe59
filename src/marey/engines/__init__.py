"""Tables of results for very long lists: computed by one process, in shards, or on a Ray cluster, and merged.

Finished rows are written in small complete files, so that work can be resumed; a video that cannot be read becomes a failed
row, and the work continues; several machines may share the rows. The package needs pyarrow, and ray for the modules `ray_*`:
a command imports it only when a table is wanted. Reading order:

- `shard`: the rows of `--shard I/N`
- `table_format`: columns and metadata of a table
- `row_makers`: a decoded video becomes a row: predictions or features
- `finished_rows`: rows that are finished, in files beside the table
- `table_job`: the rows of a shard that are still missing
- `fill_table`: fill a table with an engine; the engine of this machine
- `ray_cluster`, `ray_decoding`, `ray_engine`: the engine on Ray
- `merge`, `scores_table`, `summary`: merge shards, the table of a test, the summary that is printed
- `sigterm`: stop as after Ctrl-C

It exports nothing; import from its modules.

May import: base, data, classifier, tasks, backends, evaluation, inference, workflows.
"""
