"""A linear classifier on the pooled maps of another network, its backbone: a probe, where the backbone does not learn."""
