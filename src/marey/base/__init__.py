"""Helpers that every package may import, and that import no other package: errors, messages, files, processes, texts.

In reading order, beginning with what callers meet first:

- `errors`: the errors that a user can correct. `reporter`, `bars`: notices, warnings and progress.
- `files`: atomic files, locks, the cache folder. `cache`: the contents and limits of the cache. `array_files`: cached
  arrays.
- `claim`: who may write to an output path. `runs`: names of run folders. `readme`: README.txt of an output folder.
- `processes`: ranks, cores and signals. `jobs`: one function on many items. `limited`: the same under limits of time and
  memory.
- `address`, `absent`: paths and addresses of files, and why there is no file.
- `declaration`: the base class of recipes and configs. `options`, `jsonable`: shared types. `random`: random numbers.
- `words`, `names`, `notebook`, `page`, `shell`: texts, HTML and commands for people. `versions`: of the installed
  packages. `parquet`: the import of pyarrow.

It exports nothing; import from its modules.

May import: nothing.
"""
