"""R(2+1)D, R3D and MC3: 3D ResNets whose convolutions may be factorised in space and time.

`config` declares them, `network` builds them.

May import: base, models.layers, models.network.
"""
