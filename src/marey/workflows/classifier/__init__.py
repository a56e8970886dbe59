"""`marey train FOLDER_OR_LIST`: a linear classifier on the features of a frozen backbone.

- `train_on_features`: the plan, and the run from features to report
- `backbones`, `affordable`: the backbone that is named, or the best one within the budget
- `fit_on_cells`: choose and fit the head, calibrate it, predict out of fold
- `list_suspects`: videos that are likely mislabelled or unusual
- `compare_corrections`: the effect of corrected labels
- `finish_run`: checkpoint, tests and report, in an order that survives interruption
- `finetuning`: fine-tune the network behind the classifier

It exports nothing; import from its modules.

May import: base, models, data, recipe, recipes, classifier, weights, tasks, backends, evaluation, training, inference, workflows.
"""  # noqa: E501
