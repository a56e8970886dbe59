"""Videos: reads the frames of clips from files, folders of images and addresses, and writes frames to files.

- `source`: `FrameSource`, the base class of everything from which frames are read.
- `open`: opens any source by its path.
- `reading`: video files, folders of images, and files on servers.
- `sampling`: which frames form a clip.
- `pixels`: resize, crop, colour changes, normalisation.
- `flow`: optical flow, computed or stored.
- `writing`: video files and images.

It exports nothing; import from its modules.

May import: base.
"""
