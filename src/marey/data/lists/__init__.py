"""Lists of videos: all formats that the field writes them in, as a `Manifest` (with labels) or `VideoList` (without).

In reading order:

- `videos`, `manifest`: the lists in memory. `labels`, `split_names`, `class_files`: labels as class indices, the names of
  splits, files of class names.
- `read_manifest`, `read_videos`: read lists and folders. `class_folders`: a folder per class. `folder_scan`: the videos
  below a folder.
- `rows`: the rows of any list, as text. `text_files`, `files_in`, `resolve_paths`: its text, the files that exist, and how
  paths are resolved to these.
- `csv_lists`, `columns`, `parquet_lists`, `json_lists`, `line_lists`, `public_lists`: the formats.
- `pieces`, `list_streams`: lists of millions of videos, read in pieces.

`marey` exports `read_manifest`, `read_videos`, `Manifest`, `VideoList` and `VideoEntry`.

May import: base, video.
"""
