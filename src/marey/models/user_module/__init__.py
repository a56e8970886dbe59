"""The declaration of a user's own module (`config`), which Marey cannot build.

It exports nothing; import from its modules.

May import: base, models.network.
"""
