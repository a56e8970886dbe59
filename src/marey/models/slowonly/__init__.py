"""SlowOnly: the slow pathway of SlowFast alone. `config` declares it, `network` builds it.

May import: base, models.layers, models.network.
"""
