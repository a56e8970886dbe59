"""The command line: one Typer app. Each command parses its options, calls one function of a lower package, and prints.

- `app`: the program, its commands in the order of `marey --help`, and those without a module of their own
- `train`, `predict`, `evaluate`, `reproduce`: the commands that run networks
- `data`, `videos`: `marey data`: commands on lists, and those that write video files or images
- `weights`: `marey weights`
- `common`: what commands share: options, errors, exit codes, interruption

It exports nothing; `marey.__main__` calls `app.main`.

May import: base, video, data, recipe, recipes, classifier, weights, backends, evaluation, inference, workflows, engines.
"""
