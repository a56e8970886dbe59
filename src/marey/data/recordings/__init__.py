"""Which videos of a list are of one recording, and which are copies: from names, file metadata and what frames show.

Splits and folds keep recordings and copies together; audits and reports show them. In reading order:

- `creation`: creation time and encoder of a file.
- `signature`: five small frames and keypoints of a video.
- `signature_cache`: the signatures of all videos of a list, each computed once.
- `matching`: whether two frames, or two videos, show the same.
- `retrieval`: candidate pairs of videos that may show the same.
- `visual_links`: the relations of all candidate pairs.
- `groups`: videos that must stay in the same split and fold.
- `recording_times`: when videos were recorded.
- `copies`: copies with different labels or in several splits.
- `find`: the recordings by all evidence, `find_recordings`.
- `odd_videos`: videos that differ from nearly all others of a list.

May import: base, data.catalogue, data.files, data.lists, video.
"""
