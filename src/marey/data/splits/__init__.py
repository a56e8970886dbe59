"""How a list is divided: into training, validation and test videos, or into folds; and lists after corrections.

In reading order:

- `read_splits`: which videos are trained on and which are held out.
- `hold_out`: hold videos out so that recordings and equal files stay in one split.
- `leakage`: recordings and equal files that are in more than one split.
- `folds`: folds for out-of-fold predictions, and which classes they cannot judge.
- `fold_assignment`: the rule by which a group gets its fold.
- `corrections_table`: a table of corrections.
- `corrected_data`: the list after corrections.
- `common_videos`: the videos of a list that another list names as well.

It exports nothing; import from its modules.

May import: base, data.files, data.lists, data.recordings.
"""
