"""Results of out-of-fold predictions: how well a classifier of a user's videos will work on new ones, and where it will not.

In reading order:

- `result`: `OutOfFold`, all results of a run, its files and its summary.
- `verdict`: one sentence on what to expect on new videos.
- `calibration`, `reliability`: temperatures and thresholds, and how probabilities agree with accuracy.
- `learning_curve`: whether more videos would help.
- `classes_in_need`, `confusable_classes`: classes that need more videos, and classes that are not distinguished.
- `suspects`: videos whose labels are likely wrong, and odd videos.
- `corrections_effect`: the effect of corrections on the other videos.
- `cost`: processor time, and how fine-tuning compared with the head.

It exports nothing; import from its modules.

May import: base, classifier, data.recordings, tasks, evaluation.
"""
