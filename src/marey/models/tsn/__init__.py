"""TSN: single frames of several segments through one 2D network. `config` declares it, `network` builds it.

It exports nothing; import from its modules.

May import: base, models.layers, models.network.
"""
