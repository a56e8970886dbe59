"""TSM: TSN whose frames exchange channels. `config` declares it, `network` builds it.

May import: base, models.layers, models.network, models.tsn.
"""
