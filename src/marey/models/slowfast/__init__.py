"""SlowFast: two 3D ResNets joined by lateral convolutions. `config` declares it, `network` builds it.

May import: base, models.layers, models.network.
"""
