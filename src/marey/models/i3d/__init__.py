"""I3D on Inception-V1; on ResNets it is in `non_local`. `config` declares it, `network` builds it.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
