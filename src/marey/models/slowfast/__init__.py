"""SlowFast: two 3D ResNets joined by lateral convolutions. `config` declares it, `network` builds it.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
