"""Videos: from a file, a folder of images or an address to the frames of a clip, and back to files.

- `source`: the interface `FrameSource`, which everything that frames are read from implements.
- `open`: opens any source by its path.
- `reading`: video files, folders of images, and files on servers.
- `sampling`: which frames form a clip.
- `pixels`: resize, crop, colour changes, normalisation.
- `flow`: optical flow, computed or stored.
- `writing`: video files and images.

It exports nothing itself; import from its modules.

May import: base.
"""
