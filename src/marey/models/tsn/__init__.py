"""TSN: single frames of several segments through one 2D network. `config` declares it, `network` builds it.

May import: base, models.layers, models.network.
"""
