"""Fetch published weights: from the cache, mirrors, the Hugging Face hub or the sources of a recipe, and verify them.

- `obtain`: the weights of a recipe or address, and checks before any work.
- `cached_files`: path, record and verification of each file in the cache.
- `mirrors`: $MAREY_MIRROR.
- `hub`: files and models on the Hugging Face hub.
- `download`: one file from one address.
- `connections`: allowed addresses, proxies and redirects, and what errors of a connection mean.
- `availability`: whether the weights of a row can be had.
- `unavailable`: the messages if they cannot.
- `similar_rows`: the row to use in place of another.
- `inventory`: the contents of the cache.

It exports nothing; import from its modules.

May import: base, recipe, recipes, video, weights.files.
"""
