"""Which videos of a list are of one recording, and which are copies: from names, file metadata and what frames show.

Splits and folds keep recordings and copies together; audits and reports show them. In reading order:

- `creation`: creation time and encoder of a file.
- `signature`: five small frames and keypoints of a video.
- `signature_cache`: the signatures of all videos of a list, each computed once.
- `matching`: aligns and compares the frames of two videos; decides whether they are copies.
- `retrieval`: candidate pairs of videos, to be compared closely.
- `visual_links`: the relation of each candidate pair: copy, next segment, nearly equal, same scene.
- `names`: the recordings by the column `group` or by file names.
- `groups`: videos that must stay in the same split and fold.
- `recording_times`: when videos were recorded.
- `copies`: copies with different labels or in several splits.
- `find`: the recordings by all evidence, `find_recordings`.
- `odd_videos`: videos that differ from nearly all others of a list.

It exports nothing; import from its modules.

May import: base, data.catalogue, data.files, data.lists, video.
"""
