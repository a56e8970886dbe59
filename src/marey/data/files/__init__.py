"""The files of videos: whether they exist and can be read, and by which identity their content is recognised.

- `missing`: finds missing files before work begins.
- `quarantine`: records the broken files of a run, stops it if they are too many, and chooses replacements for training.
- `video_info`: size, frames and rate of a file, cached between runs.
- `identity`: short hashes of content, by which copies and the training videos of a checkpoint are recognised.

It exports nothing; import from its modules.

May import: base, data.lists, video.
"""
