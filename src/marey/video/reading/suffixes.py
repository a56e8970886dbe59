"""Suffixes of file names: of videos, of images, and of files that are neither. All commands use these lists."""

VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc",
    ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg",
    ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".ts", ".vob", ".webm", ".wmv", ".xvid",
    ".y4m",
})  # fmt: skip
"""Suffixes of videos. A file with an unlisted suffix is a video if its content is (`marey.video.reading.containers`)."""

IMAGE_SUFFIXES = frozenset({
    ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
})  # fmt: skip
"""Suffixes of images that OpenCV reads; they may be frames."""

OTHER_SUFFIXES = frozenset({
    ".aac", ".aif", ".aiff", ".arw", ".ass", ".avif", ".cfg", ".cr2", ".crdownload", ".csv", ".db", ".dng", ".doc",
    ".docx", ".exe", ".flac", ".gz", ".h5", ".hdf5", ".heic", ".htm", ".html", ".ico", ".idx", ".ini", ".ipynb",
    ".json", ".jsonl", ".lnk", ".lock", ".log", ".lrv", ".lst", ".m3u", ".m4a", ".mat", ".md", ".mp3", ".nef",
    ".nfo", ".npy", ".npz", ".opus", ".parquet", ".part", ".pdf", ".pkl", ".psd", ".pt", ".pth", ".py", ".rar",
    ".raw", ".rtf", ".safetensors", ".sh", ".sqlite", ".srt", ".sub", ".svg", ".tar", ".thm", ".tmp", ".toml",
    ".tsv", ".txt", ".url", ".vtt", ".wav", ".wma", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip", ".7z",
})  # fmt: skip
"""Suffixes of files that are never videos, so that they need not be opened: text, tables, sound, archives, raw
photographs, and files that cameras write beside a video (thumbnails, .thm, and copies of low resolution, .lrv)."""
