"""Use a classifier on videos without labels: `marey.predict`, `marey.predict_many` and `marey.features`.

In reading order:

- `predict`: predictions for one video or many
- `features`: the features of each video, one file per video
- `cells`, `cell_files`: the cached features of the frozen backbone of a probe, and their cache folder

It exports nothing; import from its modules.

May import: base, video, data, models, recipe, classifier, weights, tasks, backends, evaluation.
"""
