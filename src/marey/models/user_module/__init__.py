"""The declaration of a user's own module (`config`), which Marey cannot build.

May import: base, models.network.
"""
