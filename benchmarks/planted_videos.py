"""Make videos of which it is known which are copies and which are cut from one recording: the same content encoded, scaled,
cropped, mirrored, marked and mixed, and recordings that are cut into clips. No file's name shows what the file is.

A setting defines the changes; there are two. Which change a video gets, how strong, and where clips begin and end is drawn
at random from a seed.

Shape suffixes: T frames, H rows, W columns.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.base.jobs import run_jobs
from marey.data.lists.read_manifest import read_manifest
from marey.video.open import open_source

Frames = NDArray[np.uint8]
"""[T, H, W, 3]: RGB."""
Draw = np.random.Generator
Treatment = Callable[[Frames, Draw], Frames]

ORIGINAL = "original"
_MOST_FRAMES, _SHORT = 180, 240
"""Most frames of an original, and most pixels of its shorter side: a longer video is cut, a larger one scaled down."""
_LEAST_SIDE = 72
"""Pixels below which no side is scaled."""
_FEWEST_RATE = 12
"""Fewest frames of a video of which a copy with fewer frames a second is made."""
_LEAST_CUT, _FEWEST_CUT = 12, 45
"""Fewest frames of a clip, and of a recording that is cut into clips."""
_TREATED = 0.6
"""Share of the clips of a recording that are changed: scaled, cropped, mirrored or encoded coarsely."""
SYNTHETIC = (
    "testsrc*", "bt601*", "bt709*", "bt2020*", "gradient*", "animated*", "transparent*", "frame_exceeds*", "av1_video*",
    "sine_*", "discard_first*", "h264_10*", "h265_10*", "h265_video*", "decord_unordered*",
)  # fmt: skip
"""Names of test files that show test patterns, or words on one colour."""
_SAME_CONTENT = {"nasa_13013_hdr": "nasa_13013"}
"""Test files that are copies, and the content of each."""
_SAME_PLACE = {"nasa_13013*": "nasa_13013", "decord_video_*": "decord_video"}
"""Patterns of names of test files that show the same place, and the place of each."""


# The videos to start from ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Base:
    """A video of which copies, or clips cut from it, are made."""

    path: Path
    content: str
    """A name that videos of equal content share."""
    place: str
    """A name that videos share if they are known to show the same place."""


@dataclass(frozen=True)
class Bases:
    """All videos to start from, and the names of files that were left out."""

    usable: tuple[Base, ...]
    synthetic: tuple[str, ...]
    unreadable: tuple[str, ...]

    def lines(self) -> list[str]:
        found = [f"{len(self.usable)} natural videos"]
        for what, names in (("no natural video", self.synthetic), ("unreadable", self.unreadable)):
            found.append(f"left out as {what}: {len(names)}{': ' if names else ''}{', '.join(names)}")
        return found


def bases_of(folders: Sequence[Path], fixed: Path | None, listed: Path | None, drawn: int, seed: int) -> Bases:
    """The natural videos of `folders`, those of a fixed camera, and `drawn` random videos of a list with groups."""
    usable, synthetic, unreadable = [], [], []
    for folder in [*folders, *([fixed] if fixed else [])]:
        for path in sorted(folder.iterdir()):
            if any(fnmatch(path.name, pattern) for pattern in SYNTHETIC):
                synthetic.append(path.name)
            elif not _readable(path):
                unreadable.append(path.name)
            else:
                places = [place for pattern, place in _SAME_PLACE.items() if fnmatch(path.name, pattern)]
                place = "the fixed camera" if folder == fixed else places[0] if places else path.stem
                usable.append(Base(path, _SAME_CONTENT.get(path.stem, path.stem), place))
    if listed is not None:
        clips = read_manifest(listed)
        assert clips.groups is not None
        for row in np.sort(np.random.default_rng(seed).permutation(len(clips))[:drawn]).tolist():
            path = clips[row].path
            usable.append(Base(path, path.stem, f"{listed.stem} {clips.groups[row]}"))
    return Bases(tuple(usable), tuple(synthetic), tuple(unreadable))


def _readable(path: Path) -> bool:
    try:
        with open_source(path) as source:
            source.read(np.linspace(0, len(source) - 1, 5).astype(np.int64))
    except DecodeError:
        return False
    return True


@dataclass(frozen=True)
class _Film:
    """Frames in memory, and their number per second."""

    frames: Frames
    fps: float
    whole: bool
    """Whether these are all frames of the file, at its size."""


def _read(path: Path) -> _Film:
    with open_source(path) as source:
        count = min(len(source), _MOST_FRAMES)
        scale = min(1.0, _SHORT / min(source.height, source.width))
        size = (round(source.height * scale), round(source.width * scale))
        frames = source.read(np.arange(count), size=size)
        return _Film(np.asarray(frames, np.uint8), source.fps, count == len(source) and scale == 1)


# The changes -----------------------------------------------------------------------------------------------------------


def scaled(by: Sequence[tuple[float, float]], *, stretched: float = 1.0) -> Treatment:
    """Scale frames by a random factor from one of the ranges `by`; the width by up to `stretched` times more."""

    def treat(frames: Frames, draw: Draw) -> Frames:
        height, width = frames.shape[1:3]
        factor = draw.uniform(*by[draw.integers(len(by))])
        factor = max(factor, _LEAST_SIDE / min(height, width))
        return _resized(frames, round(height * factor), round(width * factor * draw.uniform(1, stretched)))

    return treat


def _resized(frames: Frames, height: int, width: int) -> Frames:
    how = cv2.INTER_AREA if height < frames.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=how) for frame in frames])


def one_side_cut(least: float, most: float) -> Treatment:
    """Crop a share between `least` and `most` of the height or width away, at a side chosen at random."""

    def treat(frames: Frames, draw: Draw) -> Frames:
        turned = np.rot90(frames, side := int(draw.integers(4)), axes=(1, 2))
        cut = turned[:, round(turned.shape[1] * draw.uniform(least, most)) :]
        return np.ascontiguousarray(np.rot90(cut, -side, axes=(1, 2)))

    return treat


def square(frames: Frames, draw: Draw) -> Frames:
    """A square of the full shorter side, anywhere along the longer one."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = draw.integers(height - side + 1), draw.integers(width - side + 1)
    return frames[:, top : top + side, left : left + side]


def mirrored(frames: Frames, draw: Draw) -> Frames:
    return frames[:, :, ::-1]


def text_bar(frames: Frames, draw: Draw) -> Frames:
    """Write words on a bar of one colour across the top or the bottom, 15 % of the height."""
    frames, height, width = frames.copy(), *frames.shape[1:3]
    bar = round(0.15 * height)
    top = int(draw.choice([0, height - bar]))
    frames[:, top : top + bar] = draw.integers(0, 256, 3)
    for frame in frames:
        _write(frame, "BREAKING NEWS", (round(0.05 * width), top + round(0.75 * bar)), bar / 40)
    return frames


def watermarks(frames: Frames, draw: Draw) -> Frames:
    """Write half transparent words into the middle, and put an opaque logo into two opposite corners."""
    frames, height, width = frames.copy(), *frames.shape[1:3]
    high, wide = round(0.12 * height), round(0.2 * width)
    left_first = bool(draw.integers(2))
    for frame in frames:
        over = frame.copy()
        _write(over, "SAMPLE", (round(0.2 * width), round(0.55 * height)), width / 170)
        np.copyto(frame, cv2.addWeighted(frame, 0.5, over, 0.5, 0))
        for top, left in ((0, 0 if left_first else width - wide), (height - high, width - wide if left_first else 0)):
            frame[top : top + high, left : left + wide] = (220, 40, 60)
            _write(frame, "tv", (left + wide // 4, top + round(0.8 * high)), high / 30)
    return frames


def _write(frame: Frames, words: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(frame, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), max(1, round(2 * size)))


def black_bars(frames: Frames, draw: Draw) -> Frames:
    """Add black bars above and below the frames."""
    bar = round(draw.uniform(0.08, 0.16) * frames.shape[1])
    return np.pad(frames, ((0, 0), (bar, bar), (0, 0), (0, 0)))


def paler(frames: Frames, draw: Draw) -> Frames:
    """Make frames brighter, with less contrast."""
    return np.clip(frames * draw.uniform(0.6, 0.75) + draw.uniform(25, 60), 0, 255).astype(np.uint8)


def darker(frames: Frames, draw: Draw) -> Frames:
    """Make frames darker by a gamma curve, and then increase the contrast."""
    curve = 255 * (np.arange(256) / 255) ** draw.uniform(1.4, 1.8)
    return np.clip((curve - 128) * 1.2 + 128, 0, 255).astype(np.uint8)[frames]


def one_after_another(*treatments: Treatment) -> Treatment:
    def treat(frames: Frames, draw: Draw) -> Frames:
        for each in treatments:
            frames = each(frames, draw)
        return frames

    return treat


def untouched(frames: Frames, draw: Draw) -> Frames:
    return frames


@dataclass(frozen=True)
class Encoding:
    """A codec of FFmpeg, its options, and the container."""

    codec: str
    suffix: str
    options: Mapping[str, str]
    pixels: str = "yuv420p"


_FINE = Encoding("libx264", ".mp4", {"crf": "16", "preset": "veryfast"})


@dataclass(frozen=True)
class Setting:
    """How copies and cuts are made."""

    usual: Encoding
    """The encoding of all copies but those of `coarse_kinds`."""
    coarse: tuple[Encoding, ...]
    """Encodings of copies of `coarse_kinds`, one of which is chosen at random for each."""
    rate: float
    """Share of the frames that a copy with fewer frames a second has."""
    gap: float
    """Largest share of a clip's frames that is removed at its end, as a gap before the next clip."""
    kinds: Mapping[str, Treatment]
    """The change of each kind of copy, by the name of the kind."""
    coarse_kinds: frozenset[str] = frozenset({"encoded", "mixed", "mirrored and mixed"})


def _quantiser(value: int) -> dict[str, str]:
    return {"qmin": str(value), "qmax": str(value)}


FIRST = Setting(
    usual=Encoding("libx264", ".mp4", {"crf": "24", "preset": "veryfast"}),
    coarse=(
        Encoding("libvpx-vp9", ".webm", {"crf": "48", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
        Encoding("mjpeg", ".avi", _quantiser(14), "yuvj420p"),
    ),
    rate=0.5,
    gap=0.0,
    kinds={
        "encoded": untouched,
        "scaled": scaled([(0.4, 0.55), (1.5, 1.9)]),
        "cropped": one_side_cut(0.12, 0.3),
        "mirrored": mirrored,
        "marked": text_bar,
        "fewer frames": untouched,
        "light": paler,
        "mixed": one_after_another(one_side_cut(0.05, 0.15), text_bar, paler, scaled([(0.6, 0.8)])),
        "mirrored and mixed": one_after_another(mirrored, scaled([(0.45, 0.7)])),
    },
)
SECOND = Setting(
    usual=Encoding("mpeg4", ".mkv", _quantiser(5)),
    coarse=(
        Encoding("libx265", ".mp4", {"crf": "36", "preset": "ultrafast", "x265-params": "log-level=none:pools=none"}),
        Encoding("wmv2", ".avi", _quantiser(13)),
    ),
    rate=0.4,
    gap=0.2,
    kinds={
        "encoded": untouched,
        "scaled": scaled([(0.5, 0.7), (0.9, 1.2)], stretched=1.4),
        "cropped": square,
        "mirrored": mirrored,
        "marked": watermarks,
        "fewer frames": untouched,
        "light": darker,
        "mixed": one_after_another(black_bars, darker, scaled([(0.5, 0.7)], stretched=1.2)),
        "mirrored and mixed": one_after_another(mirrored, one_side_cut(0.1, 0.2), watermarks),
    },
)
SETTINGS = {"first": FIRST, "second": SECOND}


# Writing -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """A file that was made, the video that it was made from, and how."""

    path: Path
    base: Base
    kind: str


@dataclass(frozen=True)
class _Job:
    base: Base
    setting: str
    """Its name, since functions such as those of `Setting.kinds` cannot be sent to another process."""
    folder: Path
    seed: tuple[int, int]
    names: tuple[str, ...]


def plant(bases: Sequence[Base], setting: str, folder: Path, *, cut: bool, seed: int) -> list[Planted]:
    """Write copies of all `bases`, or clips cut from them if they are long enough, into one folder under random numbers as
    names. If an earlier call had the same arguments, its files are used.
    """
    made, wanted = folder.with_name(f"{folder.name}.json"), repr((bases, setting, cut, seed))
    if made.exists() and (found := json.loads(made.read_text(encoding="utf-8")))["of"] == wanted:
        return [Planted(folder / name, bases[row], kind) for name, row, kind in found["files"]]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    each = len(SETTINGS[setting].kinds) + 1
    numbers = np.random.default_rng(seed).permutation(len(bases) * each).reshape(-1, each)
    jobs = [
        _Job(base, setting, folder, (seed, row), tuple(f"{number:06d}" for number in numbers[row].tolist()))
        for row, base in enumerate(bases)
    ]
    done = run_jobs(_write_cuts if cut else _write_copies, jobs, workers=None, title="Planting", unit="videos")
    files = sorted((one for several in done for one in several), key=lambda one: one.path.name)
    rows = [(one.path.name, bases.index(one.base), one.kind) for one in files]
    made.write_text(json.dumps({"of": wanted, "files": rows}), encoding="utf-8")
    return files


def _write_copies(job: _Job) -> list[Planted]:
    draw, film, setting = np.random.default_rng(job.seed), _read(job.base.path), SETTINGS[job.setting]
    found = [Planted(_original(job, film), job.base, ORIGINAL)]
    for name, (kind, treatment) in zip(job.names[1:], setting.kinds.items(), strict=True):
        count, fps = len(film.frames), film.fps
        kept = np.arange(count)
        if kind == "fewer frames":
            if count < _FEWEST_RATE:
                continue
            kept = np.arange(0, count, 1 / setting.rate).astype(np.int64)
            fps *= setting.rate
        encoding = setting.coarse[draw.integers(len(setting.coarse))] if kind in setting.coarse_kinds else setting.usual
        path = job.folder / f"{name}{encoding.suffix}"
        _write_file(path, treatment(film.frames[kept], draw), fps, encoding)
        found.append(Planted(path, job.base, kind))
    return found


def _original(job: _Job, film: _Film) -> Path:
    """A link to the file, if it is neither too long nor too large, else a shorter or smaller version of it."""
    if film.whole:
        path = job.folder / f"{job.names[0]}{job.base.path.suffix}"
        os.symlink(job.base.path.resolve(), path)  # noqa: PTH211
        return path
    path = job.folder / f"{job.names[0]}{_FINE.suffix}"
    _write_file(path, film.frames, film.fps, _FINE)
    return path


def _write_cuts(job: _Job) -> list[Planted]:
    draw, film, setting = np.random.default_rng(job.seed), _read(job.base.path), SETTINGS[job.setting]
    count = len(film.frames)
    if count < _FEWEST_CUT:
        return []
    parts = min(int(draw.integers(2, 6)), count // (2 * _LEAST_CUT))
    inner = _ends(count, parts, draw)
    found = []
    for name, begin, end in zip(job.names, [0, *inner], [*inner, count], strict=False):
        left_out = int(draw.uniform(0, setting.gap) * (end - begin))
        frames = film.frames[begin : max(begin + _LEAST_CUT, end - left_out)]
        kind, treatment = "as it is", untouched
        if draw.random() < _TREATED:
            kind = str(draw.choice(["scaled", "cropped", "mirrored", "encoded"]))
            treatment = setting.kinds[kind]
        encoding = setting.coarse[draw.integers(len(setting.coarse))] if kind == "encoded" else setting.usual
        path = job.folder / f"{name}{encoding.suffix}"
        _write_file(path, treatment(frames, draw), film.fps, encoding)
        found.append(Planted(path, job.base, f"frames {begin} to {begin + len(frames)}, {kind}"))
    return found


def _ends(count: int, parts: int, draw: Draw) -> list[int]:
    """The frames at which all clips but the last one end: each has at least `_LEAST_CUT` frames, the rest is random."""
    spare = np.sort(draw.integers(0, count - parts * _LEAST_CUT + 1, parts - 1))
    return [int(extra) + _LEAST_CUT * (place + 1) for place, extra in enumerate(spare)]


def _write_file(path: Path, frames: Frames, fps: float, encoding: Encoding) -> None:
    """Encode frames with one thread, since several jobs run at the same time; an odd last row or column is left out."""
    height, width = (side - side % 2 for side in frames.shape[1:3])
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(encoding.codec, rate=rate, options={**encoding.options, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.pixels
        for frame in frames[:, :height, :width]:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
