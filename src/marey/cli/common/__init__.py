"""What the commands share.

- `command`: how a function becomes a command: groups of options, errors in one line, exit codes
- `options`: options that several commands have
- `table_options`: options of `predict` and `features` for computing and for tables
- `named_models`: recipes and checkpoints that a command line names
- `interrupted`: what Ctrl-C leaves, and the command that resumes
- `program`: standard streams, closed pipes, planned commands

It exports nothing; import from its modules.

May import: base, data, recipe, recipes, classifier, weights, backends, workflows, engines.
"""
