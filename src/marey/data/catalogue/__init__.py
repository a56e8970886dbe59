"""Public data sets: their clips, official splits, and class names in the order of published weights' outputs.

- `class_names`: class names of public data sets and of `motions`; reads the packed files in this folder (*.json.gz).
- `published`: the interface of a data set that `marey data prepare` knows.
- `kinetics`, `ucf101`, `hmdb51`: these data sets.

It exports `class_names_of`.

May import: base.
"""

from marey.data.catalogue.class_names import class_names_of as class_names_of
