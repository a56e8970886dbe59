"""Reads frames of a video file by index, exactly as a sequential decode shows them.

    with marey.open_video("kick.mp4") as video:
        frames = video.read(range(0, 64, 2))        # uint8 [32, H, W, 3]

Each read is planned: requested frames are decoded in display order, with a seek to a key frame only where it saves decoding.
Unrequested non-reference frames are not decoded, on codecs where that is proven bit-exact. There is one decoder thread and
one scaler per video. Errors are not hidden: a frame in which FFmpeg concealed errors raises, and so do the frames after it
up to the next key frame.

A picture, here and in the modules beside, is a frame as the decoder returns it (`av.VideoFrame`), before conversion to RGB.

Which track is read: `marey.video.reading.tracks`. Rotation and mirroring: `marey.video.reading.orientation`. Files whose
first key frame was cut away: `marey.video.reading.index`.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, get_args

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from marey.base.address import Address, redacted
from marey.base.errors import DataError, DecodeError
from marey.video.reading.conversion import Converter
from marey.video.reading.decoding import DecodingState, FetchError, FrameError, LeftOutError, ffmpeg_reason
from marey.video.reading.header import index_by_header
from marey.video.reading.index import Beginning, FrameIndex, index_by_decoding, index_packets
from marey.video.reading.input import check_is_file, file_or_path, is_empty
from marey.video.reading.orientation import orientation_of
from marey.video.reading.remote import RemoteFile
from marey.video.reading.tracks import find_video_track, why_no_video_track
from marey.video.source import Box, Conversion, Frames, FrameSource, Size

_SKIPPABLE = {"h264"}
"""Codecs whose non-reference pictures may be skipped without decoding; a test of bit equality admits each. HEVC and AV1
returned wrong frames."""

_SEEK_GAIN = 8
"""Seek forward only to a key frame at least so many frames ahead of the decoder: a seek costs about as much as decoding some
frames (docs/performance/decoding.md)."""


def open_video(source: str | Path | Address | bytes | BinaryIO, *, conversion: Conversion = "rgb") -> "Video":
    """Open a video file.

    Args:
        source: A path, an address (s3://bucket/a.mp4, https://host/a.mp4; extra `remote`), bytes, or a seekable binary file,
            which is not closed with the video.
        conversion: How frames become RGB: "rgb" exactly as the older toolkits did, "planes" faster (see
            `marey.video.reading.conversion`).

    Raises:
        DecodeError: there is no such file, it is not a video (or only a song with a cover picture), none of its frames can
            be decoded, or a server does not send it.
        DataError: `source` or `conversion` has another type or value; or such addresses cannot be read here.
    """
    return Video(source, conversion=conversion)


class Video(FrameSource):
    """The N frames of a video file, read by index. An instance must not be shared between threads."""

    def __init__(self, source: str | Path | Address | bytes | BinaryIO, *, conversion: Conversion = "rgb") -> None:
        named = isinstance(source, str | Path | Address)
        self.name = redacted(str(source)) if named else f"<{type(source).__name__}>"
        self._source = file_or_path(source, self.name)
        if conversion not in get_args(Conversion):
            raise DataError(f"{self.name}: conversion={conversion!r}: expected {' or '.join(get_args(Conversion))}.")
        self._converter = Converter(conversion)
        self._closed = False
        self._track: int | None = None
        """Index of the container's stream that is read, once it is known."""
        self._container, self._stream = self._open()
        try:
            self._index = self._scan()
            self._decoding = self._from_start()
            first = self._peek()
        except BaseException:
            self.close()
            raise
        turned = orientation_of(first).transposed
        times, fps = self._index.timestamps, self._mean_rate()
        super().__init__(
            self.name, timestamps=times, fps=fps, seconds=float(times[-1] - times[0] + 1 / fps),
            size=(first.width, first.height) if turned else (first.height, first.width),
            left_out=self._index.lacking,
        )  # fmt: skip

    # -- reading

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        self._check_open()
        height, width = self._size_of(size, crop)
        frames = np.empty((len(numbers), height, width, 3), np.uint8)
        if not numbers.size:
            return frames
        unique, inverse = np.unique(numbers, return_inverse=True)
        slots = np.split(
            np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse, minlength=len(unique)))[:-1]
        )
        for (number, picture), slot in zip(self._pictures(unique), slots, strict=True):
            rgb = self._converter.convert(picture, crop, size)
            if rgb.shape != frames.shape[1:]:
                raise DecodeError(
                    self.name,
                    f"frame {self._first_other_size(number)} of {len(self)}: the frame size changes to "
                    f"{rgb.shape[1]}x{rgb.shape[0]} in the middle of the video (it began as {width}x{height}); read with "
                    "size=... to resize all frames to one size.",
                )
            frames[slot] = rgb
        return frames

    def _first_other_size(self, last: int) -> int:
        """Index of the first frame, at most `last`, whose size differs from that of frame 0."""
        pictures = self._pictures(np.arange(last + 1))
        first = next(pictures)[1]
        return next(
            (number for number, picture in pictures if (picture.width, picture.height) != (first.width, first.height)),
            last,
        )

    def pictures(self) -> Iterator[VideoFrame]:
        """All N frames in order, as the decoder returns them: with their planes and colour tags, neither rotated nor
        mirrored.

        Raises:
            DecodeError: a frame cannot be decoded, or the video is closed.
        """
        return (picture for _, picture in self._pictures(np.arange(len(self))))

    def _check_open(self) -> None:
        if self._closed:  # FFmpeg would crash the process
            raise DecodeError(self.name, "is closed; read inside the `with` block, or before close()")
        if isinstance(self._source, RemoteFile) and self._source.failure:
            raise FetchError(self.name, self._source.failure)

    def close(self) -> None:
        """Close the decoder and the file. A closed video cannot be read."""
        self._closed = True
        self._container.close()
        if isinstance(self._source, RemoteFile):
            self._source.close()

    # -- opening and indexing

    def _open(self) -> tuple[InputContainer, VideoStream]:
        """Open the container and set up the decoder of its video track."""
        container = self._open_container()
        try:
            if self._track is None:
                choice = find_video_track(container)
                if choice.track is None:
                    raise DecodeError(self.name, why_no_video_track(container))
                self._track = choice.track.index
                if choice.packets_read:
                    container.close()
                    container = self._open_container()
            stream = container.streams[self._track]
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise DecodeError(self.name, "holds video that this FFmpeg has no decoder for")
        except DecodeError:
            container.close()
            raise
        # One thread: only then is skipping exact, and loaders run one reader per process anyway.
        stream.thread_type = "NONE"
        return container, stream

    def _open_container(self) -> InputContainer:
        """Open the container at its beginning."""
        if isinstance(self._source, str | Path):
            check_is_file(self._source)
        else:
            self._source.seek(0)
        try:
            return av.open(str(self._source) if isinstance(self._source, Path) else self._source, mode="r")
        except (av.FFmpegError, ValueError) as error:
            why = "the file is empty" if is_empty(self._source) else ffmpeg_reason(error)
            raise DecodeError(self.name, f"not a video that FFmpeg can read ({why})") from None

    def _scan(self) -> FrameIndex:
        try:
            if isinstance(self._source, RemoteFile):
                index = index_by_header(self._source, self._container, self._stream)
                if index is not None:
                    return index
                self._reopen()
            index = index_packets(self._container, self._stream)
            if index is None:
                self._reopen()
                index = index_by_decoding(self._container, self._stream)
            elif index.headless:
                index = self._without_head(index)
        except av.FFmpegError as error:
            raise DecodeError(
                self.name, f"cannot be decoded to its end to count its frames ({ffmpeg_reason(error)})"
            ) from None
        if not len(index):
            missing = ": it does not begin with a key frame, and none that can be decoded follows"
            raise DecodeError(self.name, f"holds no frames{missing if index.headless else ''}")
        return index

    def _without_head(self, index: FrameIndex) -> FrameIndex:
        """The index from the first picture on that the decoder shows; empty if it shows none."""
        self._reopen()
        beginning = Beginning(self._stream)
        shown = (picture for packet in self._container.demux(self._stream) for picture in beginning.decode(packet))
        first = next(shown, None)
        return index.beginning_at(int(index.pts[-1]) + 1 if first is None or first.pts is None else first.pts)

    def _drop_undecodable_beginning(self) -> None:
        """Begin with the first picture that the decoder shows, if it belongs to the first key frame.

        The frames before it are displayed ahead of the key frame and refer to data that was cut away (open GOP), or lie
        within an intra refresh. If the first picture belongs to a later key frame, the data is broken, and the index stays.
        """
        try:
            index = self._without_head(self._index)
        except av.FFmpegError:
            return
        if len(index) and not (self._index.keys[1:2] <= index.left_out).any():
            self._index = index
            self._decoding = self._from_start()

    def _mean_rate(self) -> float:
        times = self._index.timestamps
        if len(times) > 1 and times[-1] > times[0]:
            return float((len(times) - 1) / (times[-1] - times[0]))
        return float(self._stream.average_rate or 25)

    def _reopen(self) -> None:
        before = self._container
        self._container, self._stream = self._open()
        before.close()  # not earlier: if the file is gone, a closed container would be read

    def _from_start(self) -> DecodingState:
        """Decode from the beginning: by a seek if it is certain to arrive there, else by opening the file again."""
        if not self._index.counted and self._index.keys.size and self._index.keys[0] == 0:
            decoding = self._from_key_frame(int(self._index.key_pts[0]), exactly=True)
            if decoding is not None and decoding.start == 0:
                return decoding
        self._reopen()
        return DecodingState(self._container.demux(self._stream), 0, Beginning(self._stream).decode)

    def _peek(self) -> VideoFrame:
        """The first picture that can be decoded; it stays available for the first read."""
        try:
            return next(self._planned(np.array([0])))[1]
        except LeftOutError:
            self._drop_undecodable_beginning()
        except FrameError:
            pass
        first_error = None
        for number in dict.fromkeys([0, *self._index.keys.tolist()]):
            try:
                return next(self._planned(np.array([number])))[1]
            except FrameError as error:
                first_error = first_error or error
        assert first_error is not None
        raise DecodeError(self.name, first_error.reason)

    # -- decoding

    def _pictures(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures of frames with these ascending, distinct indices.

        Raises:
            DecodeError: one cannot be decoded. Its message names the first frame that a sequential decode does not show,
                or not as it was encoded, whichever frames are requested.
        """
        try:
            yield from self._planned(numbers)
        except FrameError as error:
            reason = error.reason if self._index.counted else self._sequential_reason(error, int(numbers[-1]))
            raise DecodeError(self.name, reason) from None

    def _sequential_reason(self, error: FrameError, last: int) -> str:
        """The reason with the frame index at which a sequential decode meets the error.

        A planned read skips pictures, so it may meet the error later. Here all frames are decoded from the key frame
        at or before `error.near`, at most up to frame `last`.
        """
        self._decoding = self._from_before(error.near)
        try:
            for _ in self._decoded(np.arange(self._decoding.start, last + 1)):
                pass
        except FrameError as earlier:
            return earlier.reason
        return error.reason

    def _planned(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures of frames with these ascending, distinct indices, with seeks and skipping."""
        self._check_open()
        if self._index.counted:
            yield from self._counted(numbers)
            return
        remaining = numbers
        while remaining.size:
            count = self._seek_if_worth_it(remaining)
            yield from self._decoded(remaining[:count])
            remaining = remaining[count:]

    def _seek_if_worth_it(self, numbers: NDArray[np.int64]) -> int:
        """Seek for the first of `numbers` if it saves decoding; returns how many of them to decode before the next
        decision.
        """
        key = self._key_before(int(numbers[0]))
        state = self._decoding
        passed = numbers[0] < state.next or not state.skipped.isdisjoint(numbers.tolist())
        if passed or state.done or key >= state.next + _SEEK_GAIN:
            self._decoding = self._from_before(int(numbers[0]))
        gaps = np.flatnonzero(np.diff(numbers) > _SEEK_GAIN) + 1
        for gap in gaps.tolist():
            if self._key_before(int(numbers[gap])) >= int(numbers[gap - 1]) + _SEEK_GAIN:
                return gap
        return len(numbers)

    def _number(self, pts: int) -> int:
        """Index of the frame with this time stamp."""
        return int(np.searchsorted(self._index.pts, pts))

    def _key_before(self, number: int) -> int:
        """Index of the key frame from which frame `number` can be decoded."""
        position = int(np.searchsorted(self._index.keys, number, side="right")) - 1
        return int(self._index.keys[position]) if position >= 0 else 0

    def _from_before(self, number: int) -> DecodingState:
        """Decode from the last key frame at or before `number`, or an earlier one if the seek arrives elsewhere."""
        last = int(np.searchsorted(self._index.keys, number, side="right")) - 1
        for candidate in range(last, max(last - 3, -1), -1):
            decoding = self._from_key_frame(int(self._index.key_pts[candidate]))
            if decoding is not None and decoding.start <= number:
                return decoding
        return self._from_start()

    def _from_key_frame(self, pts: int, *, exactly: bool = False) -> DecodingState | None:
        """Seek to a key frame by its time stamp and decode from where the container arrives.

        Returns None if that is no key frame, or with `exactly` not this one. `pts` is the time at which the key frame is
        shown. With B-frames it is decoded earlier, and a seek to the decoding time would arrive one group of pictures too
        early.
        """
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
            packets = self._container.demux(self._stream)
            first = next(packets)
        except (av.FFmpegError, StopIteration):
            return None
        if first.pts is None or not first.is_keyframe or (exactly and first.pts != pts):
            return None
        return DecodingState(chain([first], packets), self._number(first.pts), self._stream.codec_context.decode)

    def _decoded(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """Continue decoding up to the last of `numbers` and yield their pictures; others are skipped where that is exact."""
        wanted_pts = self._index.pts[numbers]
        wanted, position = set(wanted_pts.tolist()), 0
        while position < len(numbers):
            is_first, picture = not self._decoding.begun, self._next_picture(wanted)
            number = int(numbers[position])
            if picture is None:
                raise self._error(number, "the decoder never shows it", near=min(number, self._decoding.next))
            pts = picture.pts
            if pts is None or pts > wanted_pts[position]:
                if is_first and self._decoding.start:
                    # Intra refresh: after a seek the decoder shows nothing until the entire picture is refreshed.
                    self._decoding = self._from_before(self._decoding.start - 1)
                    continue
                raise LeftOutError(
                    self.name, f"frame {number} of {len(self._index)}: the decoder leaves it out", number
                )
            if pts == wanted_pts[position]:
                position += 1
                if position == len(numbers):
                    self._decoding.ready.insert(0, picture)  # the next read may need it again
                    self._decoding.next = number
                self._refuse_corrupt()
                yield number, picture

    def _error(self, number: int, why: str, *, near: int) -> FrameError:
        return FrameError(self.name, f"frame {number} of {len(self._index)}: {why}", near)

    def _next_picture(self, wanted: set[int]) -> VideoFrame | None:
        """The next picture in display order, or None at the end."""
        while not self._decoding.ready:
            if self._decoding.done:
                return None
            self._decoding.ready = self._feed(wanted)
        picture = self._decoding.ready.pop(0)
        self._decoding.begun = True
        if picture.pts is not None:
            self._decoding.next = int(np.searchsorted(self._index.pts, picture.pts, side="right"))
            self._decoding.update_corruption(picture)
        return picture

    def _refuse_corrupt(self) -> None:
        if (first := self._decoding.corrupt_from) is not None:
            raise self._error(first, "the data is broken from here to the next key frame", near=first)

    def _feed(self, wanted: set[int]) -> list[VideoFrame]:
        """Send one packet to the decoder and return the pictures that it outputs."""
        self._check_open()
        codec, state = self._stream.codec_context, self._decoding
        try:
            packet = next(state.packets)
        except av.FFmpegError as error:  # it was readable before: the disk is gone, or the file was truncated
            state.done = True
            raise self._error(state.next, ffmpeg_reason(error), near=state.next) from None
        state.done = packet.size == 0
        if wanted and codec.name in _SKIPPABLE:
            # Nothing is skipped beyond the last wanted picture: the next read may continue there.
            skip = not state.done and packet.pts is not None and packet.pts not in wanted and packet.pts < max(wanted)
            codec.skip_frame = "NONREF" if skip else "DEFAULT"
            if skip:
                state.skipped.add(self._number(packet.pts or 0))
        try:
            return state.decode(packet)
        except av.FFmpegError as error:
            state.done = True  # the decoder's state is undefined now: the next read seeks
            raise self._error(state.next, ffmpeg_reason(error), near=state.next) from None

    def _counted(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures of frames with these ascending indices, found by counting all pictures from the start."""
        if numbers.size and (numbers[0] < self._decoding.next or self._decoding.done):
            self._decoding = self._from_start()
        for number in numbers.tolist():
            while True:
                while not self._decoding.ready:
                    if self._decoding.done:
                        reached = self._decoding.next
                        raise self._error(reached, "the decoder never shows it", near=reached)
                    self._decoding.ready = self._feed(set())
                picture = self._decoding.ready.pop(0)
                self._decoding.next += 1
                self._decoding.update_corruption(picture)
                if self._decoding.next - 1 == number:
                    break
            if number == numbers[-1]:
                self._decoding.ready.insert(0, picture)
                self._decoding.next = number
            self._refuse_corrupt()
            yield number, picture
