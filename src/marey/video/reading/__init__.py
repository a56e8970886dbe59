"""Reads frames by index from video files, folders of images, and files on servers.

- `reader`: `open_video` and `Video`. `input`: what can be opened. `tracks`: which track is the video.
- `index`: which frames a file shows, and when. `header`: the same without fetching media data from a server.
- `decoding`: state of a decoder, and errors of frames. `conversion`: RGB. `orientation`: rotation and mirroring.
- `image_folders`: frames and flow stored as images. `image_series`: which images of a folder these are.
- `remote`: a file at an address as a seekable file. `servers`: requests to servers, and their errors.
- `containers`: whether a file is a video, and its duration. `suffixes`: suffixes of videos and images.

It exports nothing; import from its modules.

May import: base, video.pixels, video.source.
"""
