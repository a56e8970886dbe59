"""The page report.html of a run.

In reading order:

- `page`: `write_report`, the page and its sections
- `examples`: right and wrong predictions with filmstrips of their videos
- `doubtful_labels`: videos of a test whose labels may be wrong, by one prediction for each or by equal files
- `out_of_fold_page`, `suspects_page`: the sections for a classifier that `marey train FOLDER` fitted; suspects are videos
  whose labels may be wrong by out-of-fold predictions
- `contact_sheets`: the recordings of a list, with a small frame of each video

It exports nothing; import from its modules.

May import: base, video, data, tasks, evaluation, evaluation.out_of_fold.
"""
