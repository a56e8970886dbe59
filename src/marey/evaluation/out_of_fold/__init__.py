"""Results of out-of-fold predictions: how well a classifier of a user's clips will work on new ones, and where it will not.

In reading order:

- `result`: `OutOfFold`, all results of a run, its files and its summary.
- `verdict`: one sentence on what to expect on new clips.
- `calibration`, `reliability`: temperatures and thresholds, and how probabilities agree with accuracy.
- `learning_curve`: whether more clips would help.
- `classes_in_need`, `confusable_classes`: classes that need more clips, and classes that are not distinguished.
- `suspects`: clips whose labels are likely wrong, and odd clips.
- `corrections_effect`: the effect of corrections on the other clips.
- `cost`: processor time, and how fine-tuning compared with the head.

May import: base, classifier, data.recordings, tasks, evaluation.
"""
