"""Frames of a video file by number, exactly as a sequential decode shows them.

    with marey.open_video("kick.mp4") as video:
        frames = video.read(range(0, 64, 2))        # uint8 [32, H, W, 3]

A read is planned: the wanted frames in display order, a jump to a key frame only where it saves decoding, pictures that
nobody wants or refers to skipped undecoded where that is proven exact, one decoder thread, one scaler. Errors are
not hidden: a picture that FFmpeg patched up raises, and so do those after it until the next key frame.

Which track is read: `marey.video.reading.tracks`. How pictures are turned and mirrored:
`marey.video.reading.orientation`. What becomes of a file whose first key frame was cut away: `marey.video.reading.index`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, get_args

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from marey.base.address import Address, shown
from marey.base.errors import DataError, DecodeError
from marey.video.reading.conversion import Converter
from marey.video.reading.decoding import Decoding, FetchError, FrameError, LeftOutError
from marey.video.reading.header import index_by_header
from marey.video.reading.index import Beginning, FrameIndex, count_frames, index_packets
from marey.video.reading.input import check_is_file, file_or_path, is_empty
from marey.video.reading.orientation import orientation_of
from marey.video.reading.remote import RemoteFile
from marey.video.reading.tracks import film_track, no_film
from marey.video.source import Box, Conversion, Frames, FrameSource, Size

_SKIPPABLE = {"h264"}
"""Codecs whose unwanted non-reference pictures may be skipped undecoded, each admitted by a test of bit equality.
HEVC and AV1 showed wrong frames."""

_SEEK_GAIN = 8
"""Jump ahead only if the key frame lies at least so many frames after the place that decoding has reached: a seek costs
about as much as decoding some frames (docs/performance/decoding.md)."""


def open_video(source: str | Path | Address | bytes | BinaryIO, *, conversion: Conversion = "rgb") -> "Video":
    """Open a video file, given by path, by address (s3://bucket/a.mp4, https://host/a.mp4; extra `remote`), as bytes or as a
    seekable binary file (which stays open and is the caller's).

    `conversion` says how pictures become RGB: "rgb" as the older toolkits did, "planes" by the small picture (see
    `marey.video.reading.conversion`).

    Raises:
        DecodeError: there is no such file, it is no video (a song with a cover neither), or not one frame of it can be
            decoded; or a server does not give it.
        DataError: `source` or `conversion` is nothing of the kind; or nothing here reads such addresses.
    """
    return Video(source, conversion=conversion)


class Video(FrameSource):
    """N frames of a file, by number. Not to be shared between threads."""

    def __init__(self, source: str | Path | Address | bytes | BinaryIO, *, conversion: Conversion = "rgb") -> None:
        named = isinstance(source, str | Path | Address)
        self.name = shown(str(source)) if named else f"<{type(source).__name__}>"
        self._source = file_or_path(source, self.name)
        if conversion not in get_args(Conversion):
            raise DataError(f"{self.name}: conversion={conversion!r}: expected {' or '.join(get_args(Conversion))}.")
        self._converter = Converter(conversion)
        self._closed = False
        self._track: int | None = None
        """Which of the container's streams is read, once that is known."""
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
        unique, places = np.unique(numbers, return_inverse=True)
        slots = np.split(np.argsort(places, kind="stable"), np.cumsum(np.bincount(places, minlength=len(unique)))[:-1])
        for (number, picture), slot in zip(self._pictures(unique), slots, strict=True):
            rgb = self._converter.convert(picture, crop, size)
            if rgb.shape != frames.shape[1:]:
                raise DecodeError(
                    self.name,
                    f"frame {self._first_other_size(number)} of {len(self)}: the picture changes to "
                    f"{rgb.shape[1]}x{rgb.shape[0]} in the middle of the video (it began as {width}x{height}); read with "
                    "size=... to bring all to one size.",
                )
            frames[slot] = rgb
        return frames

    def _first_other_size(self, found: int) -> int:
        """The first frame, at most `found`, whose picture has another size than that of frame 0."""
        pictures = self._pictures(np.arange(found + 1))
        begun = next(pictures)[1]
        return next(
            (number for number, picture in pictures if (picture.width, picture.height) != (begun.width, begun.height)),
            found,
        )

    def pictures(self) -> Iterator[VideoFrame]:
        """All N frames in order as the decoder gives them, planes and colour tags untouched, not yet turned upright.

        Raises:
            DecodeError: a frame cannot be decoded, or the video is closed.
        """
        return (picture for _, picture in self._pictures(np.arange(len(self))))

    def _check_open(self) -> None:
        if self._closed:  # FFmpeg would end the process
            raise DecodeError(self.name, "is closed; read inside the `with` block, or before close()")
        if isinstance(self._source, RemoteFile) and self._source.failure:
            raise FetchError(self.name, self._source.failure)

    def close(self) -> None:
        """Free the decoder and the file. A closed video cannot be read."""
        self._closed = True
        self._container.close()
        if isinstance(self._source, RemoteFile):
            self._source.close()

    # -- opening and placing

    def _open(self) -> tuple[InputContainer, VideoStream]:
        """Open the container and set up the decoder of its film."""
        container = self._opened()
        try:
            if self._track is None:
                film = film_track(container)
                if film.track is None:
                    raise DecodeError(self.name, no_film(container))
                self._track = film.track.index
                if film.packets_read:
                    container.close()
                    container = self._opened()
            stream = container.streams[self._track]
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise DecodeError(self.name, "holds video that this FFmpeg has no decoder for")
        except DecodeError:
            container.close()
            raise
        # One thread: skipping is only exact then, and loaders run one reader per process anyway.
        stream.thread_type = "NONE"
        return container, stream

    def _opened(self) -> InputContainer:
        """The container, at its beginning."""
        if isinstance(self._source, str | Path):
            check_is_file(self._source)
        else:
            self._source.seek(0)
        try:
            return av.open(str(self._source) if isinstance(self._source, Path) else self._source, mode="r")
        except (av.FFmpegError, ValueError) as error:
            why = "the file is empty" if is_empty(self._source) else _words(error)
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
                index = count_frames(self._container, self._stream)
            elif index.headless:
                index = self._without_head(index)
        except av.FFmpegError as error:
            raise DecodeError(
                self.name, f"cannot be decoded to its end to count its frames ({_words(error)})"
            ) from None
        if not len(index):
            missing = ": it does not begin with a key frame, and none that can be decoded follows"
            raise DecodeError(self.name, f"holds no frames{missing if index.headless else ''}")
        return index

    def _without_head(self, index: FrameIndex) -> FrameIndex:
        """The index from the first picture on that the decoder shows; empty where it shows none."""
        self._reopen()
        beginning = Beginning(self._stream)
        shown = (picture for packet in self._container.demux(self._stream) for picture in beginning.decode(packet))
        first = next(shown, None)
        return index.beginning_at(int(index.pts[-1]) + 1 if first is None or first.pts is None else first.pts)

    def _leave_out_what_the_first_key_frame_lacks(self) -> None:
        """Begin with the first picture that the decoder shows, where that belongs to the first key frame.

        Frames before it are shown ahead of the key frame and refer to what was cut away (open GOP), or are those in which
        an intra refresh renews the picture. If the first picture belongs to a later key frame, the data is broken.
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
        before.close()  # not earlier: where the file is gone, a closed container would be read

    def _from_start(self) -> Decoding:
        """Decoding from the beginning again: by a seek where that surely lands there, else by opening anew."""
        if not self._index.counted and self._index.keys.size and self._index.keys[0] == 0:
            decoding = self._from_key_frame(int(self._index.key_pts[0]), exactly=True)
            if decoding is not None and decoding.start == 0:
                return decoding
        self._reopen()
        return Decoding(self._container.demux(self._stream), 0, Beginning(self._stream).decode)

    def _peek(self) -> VideoFrame:
        """The first picture that can be decoded, left in its place for the first read."""
        try:
            return next(self._planned(np.array([0])))[1]
        except LeftOutError:
            self._leave_out_what_the_first_key_frame_lacks()
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
        """The pictures of ascending, distinct frame numbers.

        Raises:
            DecodeError: one cannot be decoded. A fault has the number of the first frame that a sequential decode does not
                show, or not as it was encoded, whichever frames are wanted.
        """
        try:
            yield from self._planned(numbers)
        except FrameError as error:
            reason = error.reason if self._index.counted else self._as_in_sequence(error, int(numbers[-1]))
            raise DecodeError(self.name, reason) from None

    def _as_in_sequence(self, error: FrameError, last: int) -> str:
        """The reason with the number that a sequential decode gives the fault.

        A planned read skips pictures undecoded and wants some frames alone, so it meets a fault later. Here everything is
        decoded from the key frame before it on, at most up to the frame `last`.
        """
        self._decoding = self._from_before(error.near)
        try:
            for _ in self._decoded(np.arange(self._decoding.start, last + 1)):
                pass
        except FrameError as fault:
            return fault.reason
        return error.reason

    def _planned(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures of ascending, distinct frame numbers, by jumps and with unwanted ones skipped."""
        self._check_open()
        if self._index.counted:
            yield from self._counted(numbers)
            return
        remaining = numbers
        while remaining.size:
            jump = self._seek_if_worth_it(remaining)
            yield from self._decoded(remaining[:jump])
            remaining = remaining[jump:]

    def _seek_if_worth_it(self, numbers: NDArray[np.int64]) -> int:
        """Place the decoder for the first of `numbers`; say how many of them to decode before looking again."""
        key = self._key_before(int(numbers[0]))
        at = self._decoding
        passed = numbers[0] < at.next or not at.skipped.isdisjoint(numbers.tolist())
        if passed or at.done or key >= at.next + _SEEK_GAIN:
            self._decoding = self._from_before(int(numbers[0]))
        gaps = np.flatnonzero(np.diff(numbers) > _SEEK_GAIN) + 1
        for gap in gaps.tolist():
            if self._key_before(int(numbers[gap])) >= int(numbers[gap - 1]) + _SEEK_GAIN:
                return gap
        return len(numbers)

    def _number(self, pts: int) -> int:
        """The frame that a time stamp belongs to."""
        return int(np.searchsorted(self._index.pts, pts))

    def _key_before(self, number: int) -> int:
        """The frame that starts the group of pictures in which frame `number` can be decoded."""
        place = int(np.searchsorted(self._index.keys, number, side="right")) - 1
        return int(self._index.keys[place]) if place >= 0 else 0

    def _from_before(self, number: int) -> Decoding:
        """Go to the last key frame at or before `number`; check where the container landed, else go further back."""
        place = int(np.searchsorted(self._index.keys, number, side="right")) - 1
        for candidate in range(place, max(place - 3, -1), -1):
            decoding = self._from_key_frame(int(self._index.key_pts[candidate]))
            if decoding is not None and decoding.start <= number:
                return decoding
        return self._from_start()

    def _from_key_frame(self, pts: int, *, exactly: bool = False) -> Decoding | None:
        """Seek; decoding from where the container lands, or None where it has no key frame to show for it, `exactly` at
        this time.

        By the time at which a key frame is shown: with B-frames it is decoded earlier, and a seek to that time lands a
        whole group too early.
        """
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
            packets = self._container.demux(self._stream)
            first = next(packets)
        except (av.FFmpegError, StopIteration):
            return None
        if first.pts is None or not first.is_keyframe or (exactly and first.pts != pts):
            return None
        return Decoding(_chain(first, packets), self._number(first.pts), self._stream.codec_context.decode)

    def _decoded(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode on until the last of `numbers`, yielding them; unwanted pictures are skipped where that is exact."""
        wanted_pts = self._index.pts[numbers]
        wanted, position = set(wanted_pts.tolist()), 0
        while position < len(numbers):
            fresh, picture = not self._decoding.begun, self._next_picture(wanted)
            number = int(numbers[position])
            if picture is None:
                raise self._fault(number, "the decoder never shows it", near=min(number, self._decoding.next))
            pts = picture.pts
            if pts is None or pts > wanted_pts[position]:
                if fresh and self._decoding.start:
                    # Intra refresh: after a seek the decoder shows nothing until all of the picture is renewed.
                    self._decoding = self._from_before(self._decoding.start - 1)
                    continue
                raise LeftOutError(
                    self.name, f"frame {number} of {len(self._index)}: the decoder leaves it out", number
                )
            if pts == wanted_pts[position]:
                position += 1
                if position == len(numbers):
                    self._decoding.ready.insert(0, picture)  # the next read may begin with it
                    self._decoding.next = number
                self._refuse_spoilt()
                yield number, picture

    def _fault(self, number: int, why: str, *, near: int) -> FrameError:
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
            self._decoding.look_at(picture)
        return picture

    def _refuse_spoilt(self) -> None:
        if (first := self._decoding.spoilt) is not None:
            raise self._fault(first, "the data is broken from here to the next key frame", near=first)

    def _feed(self, wanted: set[int]) -> list[VideoFrame]:
        """Send one packet to the decoder; the pictures that come out."""
        self._check_open()
        codec, at = self._stream.codec_context, self._decoding
        try:
            packet = next(at.packets)
        except av.FFmpegError as error:  # it could be read when it was opened: a lost disk, or a file that shrank
            at.done = True
            raise self._fault(at.next, _words(error), near=at.next) from None
        at.done = packet.size == 0
        if wanted and codec.name in _SKIPPABLE:
            # Past the last wanted picture nothing is skipped: the next read may go on there.
            skip = not at.done and packet.pts is not None and packet.pts not in wanted and packet.pts < max(wanted)
            codec.skip_frame = "NONREF" if skip else "DEFAULT"
            if skip:
                at.skipped.add(self._number(packet.pts or 0))
        try:
            return at.decode(packet)
        except av.FFmpegError as error:
            at.done = True  # the decoder's state is worth nothing now: the next read seeks
            raise self._fault(at.next, _words(error), near=at.next) from None

    def _counted(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures of ascending numbers, found by counting what the decoder shows from the start."""
        if numbers.size and (numbers[0] < self._decoding.next or self._decoding.done):
            self._decoding = self._from_start()
        for number in numbers.tolist():
            while True:
                while not self._decoding.ready:
                    if self._decoding.done:
                        reached = self._decoding.next
                        raise self._fault(reached, "the decoder never shows it", near=reached)
                    self._decoding.ready = self._feed(set())
                picture = self._decoding.ready.pop(0)
                self._decoding.next += 1
                self._decoding.look_at(picture)
                if self._decoding.next - 1 == number:
                    break
            if number == numbers[-1]:
                self._decoding.ready.insert(0, picture)
                self._decoding.next = number
            self._refuse_spoilt()
            yield number, picture


def _chain(first: "Packet[Any]", rest: "Iterator[Packet[Any]]") -> "Iterator[Packet[Any]]":
    yield first
    yield from rest


def _words(error: Exception) -> str:
    """What FFmpeg says, without its error number and the path, which the message names already."""
    return str(getattr(error, "strerror", None) or error).split(": '")[0]
