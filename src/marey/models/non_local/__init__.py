"""C2D and I3D on ResNets, with non-local blocks or without. `config` declares them, `network` builds them.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
