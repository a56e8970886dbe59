"""Public data sets: class names in the order of the outputs of published weights, clips and official splits.

- `class_names`: class names of public data sets and of `motions`, and the packed files in this folder.
- `published`: the interface of a data set that `marey data prepare` knows.
- `kinetics`, `ucf101`, `hmdb51`: these data sets.

It exports `class_names_of`.

May import: base.
"""

from marey.data.catalogue.class_names import class_names_of as class_names_of
