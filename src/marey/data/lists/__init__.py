"""Lists of videos, read from all usual formats as a `Manifest` (with labels) or a `VideoList` (without).

In reading order:

- `videos`, `manifest`: the lists in memory. `labels`, `split_names`, `class_files`: labels as class indices, the names of
  splits, files of class names.
- `read_manifest`, `read_videos`: read lists and folders. `class_folders`: a folder per class. `folder_scan`: the videos
  below a folder.
- `rows`: the rows of any list, as text. `text_files`: the text of a list. `files_in`: which files exist. `resolve_paths`:
  the existing file of each path.
- `csv_lists`, `columns`, `parquet_lists`, `json_lists`, `line_lists`, `public_lists`: the formats.
- `pieces`, `list_streams`: lists of millions of videos, read in pieces.

It exports nothing; import from its modules. `marey` exports `read_manifest`, `read_videos`, `Manifest`, `VideoList` and
`VideoEntry`.

May import: base, video.
"""
