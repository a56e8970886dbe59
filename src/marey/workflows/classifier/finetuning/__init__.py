"""Fine-tuning of the network behind a classifier on frozen features, if it is asked for or the budget allows it.

- `fine_tune`: the run after fine-tuning, and whether it is kept
- `decide`: what it would cost, and whether that is within the budget
- `judge`: fine-tune, and compare on one fold with the head on frozen features
- `saved_start`, `saved_lists`: what a run saves so that it can be fine-tuned later or elsewhere

It exports nothing; import from its modules.

May import: base, models, data, recipe, classifier, weights, tasks, backends, evaluation, training, workflows.classifier.
"""
