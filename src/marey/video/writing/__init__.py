"""Writes video files and images.

- `writer`: frames to a video file.
- `transcode`: a video file re-encoded for training.
- `images`: a video as a folder of images, and single images.

It exports nothing; import from its modules.

May import: base, video.pixels, video.reading, video.source.
"""
