"""What a command or `marey.train` does, from its options to its results, by the packages listed at the end.

- `train`: `marey.train`: which kind of training, its plan, and its run
- `train_network`: train an entire network, test it, report; `training_time` estimates how long that takes
- `classifier`: a classifier on frozen features, and its fine-tuning
- `recordings`: find recordings, for `marey data sources` and for folds
- `open_model`, `two_streams`: from a name or file to one classifier, or two that are fused
- `predict_list`, `prediction_files`: predictions for a list, and the files of `marey predict --out`
- `evaluate_model`: a test with scores, result and report; fusion of score files
- `reproduce`, `ablation`: all steps of a published row; two findings of MMAction's announcement
- `demo`, `doctor`, `convert_weights`, `recipe_table`, `weights_cache`: the commands demo, doctor, convert, list and weights

It exports nothing; `marey.train` is `train.train`.

May import: base, video, models, data, recipe, recipes, classifier, weights, tasks, backends, evaluation, training, inference.
"""  # noqa: E501
