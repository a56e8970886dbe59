"""Train a network by its recipe: `marey.fit`.

In reading order:

- `fit`: checks the arguments and sets everything up
- `loop`: `TrainingLoop`, which trains on the batches, validates after each epoch and writes the files of the run
- `step`: forward and backward passes of one batch, in micro-batches
- `batches`, `multigrid`, `mixing`: the batches of a run; their shapes in multigrid training; mixup, cutmix and erasing
- `optimizers`, `schedules`, `ema`, `norms`: the optimiser, the learning rate, averaged weights, and precise batch norms
- `prepare`: frozen parameters, drop path and gradient checkpointing, as the recipe declares
- `folder`, `state`, `logs`: the files of a run
- `distributed`, `sharding`: training in several processes
- `heads`: linear classifiers that are fitted on frozen features, without the training loop

It exports nothing; import from its modules.

May import: base, video, data, models, recipe, classifier, weights, tasks, backends, evaluation.
"""
