"""TSM: TSN whose frames exchange channels. `config` declares it, `network` builds it.

It exports nothing; import from its modules.

May import: base, models.layers, models.network, models.tsn.
"""
