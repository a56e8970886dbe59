"""Layouts: how each toolkit names and stores the tensors of our networks.

- `layout`: the class `Layout` that every other module fills in.
- `all`: the list of all layouts.
- `mmaction`, `mmaction_inception`, `mmaction_factorised`: MMAction v0.2, all three with the name "mmaction".
- `mmaction2`, `mmaction2_factorised`: MMAction2, both with the name "mmaction2".
- `pyslowfast`, `pyslowfast_caffe2`: PySlowFast's PyTorch files and Caffe2 files.
- `pytorchvideo`, `pytorchvideo_factorised`: PyTorchVideo, both with the name "pytorchvideo".
- `videoresnet`, `vmz_caffe2`: VMZ's PyTorch files (and torchvision's video networks) and Caffe2 files.
- `deepmind`, `deepmind_tensorflow`: ports of DeepMind's I3D and its original files, both with the name "deepmind".
- `torchvision`, `timm`, `efficientnet_lite` (its name: "efficientnet-lite"): image networks.
- `units`: the layers of our networks, enumerated for the layouts.

Each module but `layout` and `all` has one `LAYOUT`. Its `name` is the module's unless a name is given above. Several
layouts may share a toolkit's name, which messages and recipes show: one name is then read by several modules, each for
its own networks, which `LAYOUT.networks` lists.

To find the module of a file, search this folder for one of its keys. The worked examples show the first key of each kind
that a network has (stem, convolution and norm of a block, shortcut, lateral, non-local block, head), so take the first
of its kind in the file, or replace the numbers in it by those of the first block: `backbone.layer3.5.conv2.conv.weight`
becomes `backbone.layer1.0.conv1.conv.weight`. Remove what a training loop puts before keys, such as `module.`.

It exports nothing; `weights.layouts.all` has `LAYOUTS`.

May import: models, recipe.
"""
