"""A probe: a linear classifier on the pooled maps of another network, its backbone.

- `config`: which backbone, and how its maps are pooled
- `network`: the probe as a network, and the poolings
- `pooled`: pooled features of many videos as arrays

It exports nothing; import from its modules.

May import: base, models.backbones, models.layers, models.network.
"""
