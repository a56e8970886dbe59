"""The files of videos: whether they exist and can be read, and by which identity their content is recognised.

- `missing`: finds missing files before work begins.
- `quarantine`: records broken files of a run, with a limit, and names replacements for training.
- `video_info`: size, frames and rate of a file, cached between runs.
- `identity`: short hashes of content, for copies and for videos that a checkpoint was trained on.

It exports nothing itself.

May import: base, data.lists, video.
"""
