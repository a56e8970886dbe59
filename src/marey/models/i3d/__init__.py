"""I3D on Inception-V1; on ResNets it is in `non_local`. `config` declares it, `network` builds it.

May import: base, models.layers, models.network.
"""
