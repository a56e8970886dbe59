"""Linear heads on frozen features: fitting, choice by cross-validation, and the wrong labels that their predictions show.

In reading order:

- `directions`: the principal directions of the training videos' features, along which heads are fitted.
- `logistic`: L2-regularised logistic regression, `fit_head`.
- `selection`: choice of pooling and strength by nested cross-validation, `choose_head`.
- `learning_curve`: the metric for different numbers of training videos.
- `confident_learning`: labels that are likely wrong.
- `outliers`: videos that are far from all others of their class.

It exports nothing; import from its modules.

May import: base, data.splits, evaluation, models, recipe, tasks.
"""
