"""One module per task: its labels, loss, predictions, metrics, and the words of its results.

In reading order:

- `task`: `Task`, the interface that training, testing and reports use
- `classify`, `multilabel`: one label per video, and any number of labels
- `choose`: the task of a recipe or of a score file
- `losses`, `metrics`, `intervals`, `thresholds`: what the tasks compute with
- `prediction`: `Prediction`, what a classifier predicts for one video

It exports nothing; import from its modules.

May import: base, data, recipe, classifier.
"""
