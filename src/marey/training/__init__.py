"""Train a network by its recipe: `marey.fit`.

In reading order:

- `fit`: checks the arguments and sets everything up
- `loop`: `TrainingLoop`, from batches to the files of a run, and the validation after each epoch
- `step`: forward and backward passes of one batch, in micro-batches
- `batches`, `multigrid`, `mixing`: the batches of a run, their shapes, and mixup, cutmix and erasing
- `optimizers`, `schedules`, `ema`, `norms`: the optimiser, the learning rate, averaged weights, and precise batch norms
- `prepare`: what a recipe freezes and regularises in the network
- `folder`, `state`, `logs`: the files of a run
- `distributed`, `sharding`: several processes
- `heads`: classifiers that are fitted on frozen features, without this loop

May import: base, video, data, models, recipe, classifier, weights, tasks, backends.
"""
