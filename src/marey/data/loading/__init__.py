"""From a list of videos to batches of clips, decoded by worker processes.

In reading order:

- `datasets`: `ClipDataset` (training clips) and `ViewDataset` (videos for testing).
- `view_decoder`: decode a video once for all its test views.
- `mirrored_classes`: which classes mirroring swaps.
- `epoch_order`: which videos an epoch has, and in which order.
- `loader`: `ClipLoader`, batches of clips; it can resume at any batch.
- `workers`: worker processes that decode ahead.
- `limited_decoding`: decoding under limits of time and memory.

It exports nothing; import from its modules. `marey` exports `ClipDataset` and `ViewDataset`.

May import: base, data.files, data.lists, video.
"""
