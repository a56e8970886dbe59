"""R(2+1)D, R3D and MC3: 3D ResNets whose convolutions may be factorised in space and time.

`config` declares them, `network` builds them.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
