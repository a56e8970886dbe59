"""Trunks and layers that several networks share. None depends on the network of one paper.

- `trunk`: the interface of trunks; `resnet`, `inception`, `efficientnet`: the trunks
- `factorised`: convolutions in two steps, for R(2+1)D and CSN; `non_local`: the non-local block
- `config`: declarations without torch, initial values and non-local blocks
- `initialise`: initial values; `drop_path`, `checkpointing`: stochastic depth and gradient checkpointing
- `norms`, `folding`: batch norms in training, and folded into convolutions for inference
- `positions`: position embeddings for another size of clip
- `convolutions`: PyTorch's convolutions without two faults of oneDNN

It exports nothing; import from its modules.

May import: base.
"""
