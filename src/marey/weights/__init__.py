"""Weights of networks: Marey's checkpoints, other toolkits' files, published weights, and the start of a training.

Subpackages, from the lowest: `files` (formats of files), `fetching` (published weights and the cache), `layouts` (the names
of tensors in each toolkit). Modules in reading order:

- `load`: `load_model`, from a recipe, a checkpoint or another toolkit's file to a classifier.
- `checkpoint`: Marey's own checkpoint files.
- `foreign`: files of other toolkits, read and recognised by their layouts.
- `unwrap`: the network in a training loop's checkpoint.
- `inferred_recipe`: the recipe of a file for which the user names none.
- `resize_positions`: position embeddings of another input size.
- `pretraining`: `start`, where training starts from.
- `inflation`: a trunk's weights in another network.
- `imagenet_ig65m`: which ImageNet or IG-65M file fits a recipe.
- `probe_backbone`: weights for the backbone of a probe.
- `find_copies`: published files in a user's folder, and their registration in the cache.

It exports nothing; import from its modules.

May import: base, classifier, data, models, recipe, recipes, video.
"""
