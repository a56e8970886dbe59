"""The networks: each a declaration without torch (`config.py`) and an `nn.Module` from clips to logits (`network.py`).

- `network`: `Network`, the interface of all of them, and the base classes of networks with a pool and one linear layer
- `interfaces`: what training, loading and prediction can use of any module, a user's own one, too
- `layers`: the trunks and layers that networks are built of
- `tsn`, `tsm`, `i3d`, `non_local`, `slowonly`, `slowfast`, `r2plus1d`, `csn`: one package for each paper
- `probe`: a linear classifier on the pooled maps of one of these; `user_module`: the declaration of a user's own module
- `backbones`: the list of all networks, to which a new one is added
- `freeze`: excludes stages and batch norms from training

It exports nothing; import from its modules.

May import: base.
"""
