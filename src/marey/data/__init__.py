"""Data sets: lists of videos with and without labels, their files, splits, recordings and loading.

Subpackages, from the lowest layer: `catalogue` (public data sets), `lists` (lists and folders), `files` (the videos' files),
`motions` (a generated data set), `recordings`, `splits` and `loading`. The modules do the work of `marey data` commands:

- `audit`: finds the faults of a data set.
- `prepare`: makes lists of a downloaded public data set.
- `findings`: the text that `audit` and `prepare` print.
- `convert`: resizes the videos of a list, or writes them as frames.
- `extract_flow`: computes and stores the optical flow of a list.
- `cutting`: divides long videos in folders of classes into segments; `marey train FOLDER` uses it.

It exports nothing; import from its modules.

May import: base, video.
"""
