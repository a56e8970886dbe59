"""The work on one video, done on a corpus: tables of results, shards of a list, tables merged.

A corpus is a list too long to be watched: what is done is kept in small whole files, what fails costs its own row, and many
machines may share the rows. The modules need pyarrow (`marey.base.parquet`), so that a command imports them only where a
table is asked for. They call what predicts and extracts features for one video (`marey.inference`, `marey.workflows`) and
know nothing of the command line.
"""
