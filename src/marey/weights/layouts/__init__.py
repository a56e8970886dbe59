"""Layouts: how each toolkit names and stores the tensors of our networks.

- `layout`: the class `Layout` that every other module fills in.
- `all`: the list of all layouts.
- `torchvision`, `timm`, `efficientnet_lite`, `videoresnet`, `mmaction` (three modules), `mmaction2` (two), `pyslowfast`
  (two), `pytorchvideo` (two), `vmz_caffe2`, `deepmind` (two): one `LAYOUT` each, with a worked example.
- `units`: the layers of our networks, enumerated for the layouts.

It exports nothing; `weights.layouts.all` has `LAYOUTS`.

May import: models, recipe.
"""
