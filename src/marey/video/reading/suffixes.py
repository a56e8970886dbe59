"""Which suffixes of file names mean a video, an image that may be a frame, or neither: one list for every command."""

VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc",
    ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg",
    ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".ts", ".vob", ".webm", ".wmv", ".xvid",
    ".y4m",
})  # fmt: skip
"""Of videos. Files of other suffixes may be videos too: their content tells (`marey.video.reading.content`)."""

IMAGE_SUFFIXES = frozenset({
    ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
})  # fmt: skip
"""Of images that OpenCV reads, and so of frames."""

OTHER_SUFFIXES = frozenset({
    ".aac", ".aif", ".aiff", ".arw", ".ass", ".avif", ".cfg", ".cr2", ".crdownload", ".csv", ".db", ".dng", ".doc",
    ".docx", ".exe", ".flac", ".gz", ".h5", ".hdf5", ".heic", ".htm", ".html", ".ico", ".idx", ".ini", ".ipynb",
    ".json", ".jsonl", ".lnk", ".lock", ".log", ".lrv", ".lst", ".m3u", ".m4a", ".mat", ".md", ".mp3", ".nef",
    ".nfo", ".npy", ".npz", ".opus", ".parquet", ".part", ".pdf", ".pkl", ".psd", ".pt", ".pth", ".py", ".rar",
    ".raw", ".rtf", ".safetensors", ".sh", ".sqlite", ".srt", ".sub", ".svg", ".tar", ".thm", ".tmp", ".toml",
    ".tsv", ".txt", ".url", ".vtt", ".wav", ".wma", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip", ".7z",
})  # fmt: skip
"""Of files that are no videos, so that none is opened to find out: text, tables, sound, archives, raw photographs, and what
cameras write beside a film (a thumbnail, .thm, and a copy of low resolution, .lrv)."""
