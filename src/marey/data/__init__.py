"""Data sets: lists of videos with and without labels, their files, splits and recordings, and what loaders make of them.

Subpackages, from the lowest: `catalogue` (public data sets), `lists` (lists and folders), `files` (the videos' files),
`motions` (a generated data set), `recordings`, `splits` and `loading`. The modules here are the work of `marey data`:

- `audit`: finds the faults of a data set.
- `prepare`: makes lists of a downloaded public data set.
- `convert`: resizes the videos of a list, or writes them as frames.
- `extract_flow`: computes and stores the optical flow of a list.
- `cutting`: divides long videos in folders of classes into segments; `marey train FOLDER` uses it.

It exports nothing itself.

May import: base, video.
"""
