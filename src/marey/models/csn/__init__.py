"""CSN: a 3D ResNet whose 3x3x3 convolutions are depthwise. `config` declares it, `network` builds it.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
