"""How well frames show copies and recordings, measured on videos of which it is known.

    python benchmarks/recordings.py copies cuts fixed --folders clips decoder --fixed asl --list skate2.csv
    python benchmarks/recordings.py column motions cost --list skate2.csv

- copies: of natural videos, each encoded, scaled, cropped, mirrored, marked and so on: how many are found, and how many
  pairs of different videos are called copies.
- cuts: recordings cut into two to five clips, some of them treated: how many pairs of clips of one recording are found
  to be of one, and how many pairs of different recordings are.
- column: the same pairs in a list whose column `group` and names are hidden, and the out-of-fold accuracy of `marey train`
  when its folds keep together: nothing, the column's groups, or the recordings that are found by frames.
- motions: the generated set in both looks, without the names of its scenes.
- fixed: videos of one fixed camera, which must not become one recording.
- cost: core-seconds of `marey data sources` on 300 generated clips of 256 pixels and 3 seconds.

`--setting` and `--seed` say how copies and cuts are made (planted_videos.py); neither was used while Marey's thresholds were
chosen. Missed and wrong pairs are written to --work as pages with frames, and as contact sheets that show the true
recording in place of the class. `--few` measures on a small part of the videos.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backends import cpu
from marey.base.page import jpeg_uri
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import VideoList
from marey.data.motions import DRAWN, NOISE, write_motions
from marey.data.recordings.find import Recordings, find_recordings
from marey.data.recordings.groups import components
from marey.data.recordings.signature_cache import compute_signatures
from marey.data.recordings.visual_links import Relation, find_links
from marey.evaluation.report.contact_sheets import ContactSheets
from marey.evaluation.result import EvaluationResult
from measured import measured
from planted_videos import ORIGINAL, SETTINGS, Planted, bases_of, plant

Pair = tuple[int, int]

COST_CLIPS, MOTIONS = 300, 252
CUT_MORE = 3
"""How many times more videos of the list are drawn to be cut than to be copied, since most are too short to be cut."""
SHOWN = 40
"""Most pairs of a page."""


# What was found --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hidden:
    """Videos under names that show nothing, the recordings that were found, and a text about each video's true origin, which
    only tables and pages use.
    """

    found: Recordings
    truth: tuple[str, ...]
    folder: Path

    def together(self, one: int, other: int) -> bool:
        """Whether two videos were found to be of one recording."""
        recordings = self.found.by_evidence
        return bool(
            recordings.known[one] and recordings.known[other] and recordings.of_row[one] == recordings.of_row[other]
        )

    def copies(self, one: int, other: int) -> bool:
        """Whether two videos were found to be copies, or to look alike while nothing moves in them."""
        contents = self.found.look_alike
        return bool(contents[one] >= 0 and contents[one] == contents[other])

    def sheets(self, name: str, labels: Sequence[str]) -> None:
        """Write contact sheets like those of `marey data sources`, with `labels` (true recordings) in place of classes."""
        rows = list(zip(self.found.ids.tolist(), labels, strict=True))
        copies = self.found.copies([make_manifest(rows, root=self.folder, source=name)], [""] * len(rows))
        sheets = ContactSheets.of(self.found, copies)
        sheets.write_page(self.folder.parent / f"{name}-sheets.html", title=name)

    def page(self, name: str, pairs: Sequence[Pair], seed: int) -> None:
        """Write a page of some pairs: a row for each video with the five frames of its signature."""
        drawn = np.random.default_rng(seed).permutation(len(pairs))[:SHOWN]
        links = {(link.first, link.second): link for link in self.found.links}
        rows = [f"<meta charset=utf-8><h1>{escape(name)}</h1><p>{len(drawn)} of {len(pairs)} pairs"]
        for number, (one, other) in enumerate(pairs[place] for place in sorted(drawn.tolist())):
            link = links.get((one, other))
            linked = f"linked as {link.relation.value}{', mirrored' * link.mirrored}" if link else "not linked directly"
            rows.append(f"<h3>{number + 1}: {linked}</h3>")
            rows += [self._strip(one), self._strip(other)]
        path = self.folder.parent / f"{name}.html"
        path.write_text("\n".join(rows), encoding="utf-8")

    def _strip(self, row: int) -> str:
        frames = np.hstack(list(self.found.signatures[row].frames))
        height, width = frames.shape[:2]
        small = cv2.resize(frames, (round(width * 100 / height), 100), interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        caption = f"{self.found.ids[row]}: {self.truth[row]}"
        return f"<div>{escape(caption)}<br><img src='{jpeg_uri(jpeg.tobytes())}'></div>"


def hidden(paths: Sequence[Path], truth: Sequence[str], folder: Path) -> Hidden:
    """Search for the recordings of files in `folder`, whose names show nothing."""
    rows = [(path.name, "a clip") for path in paths]
    found = find_recordings([make_manifest(rows, root=folder, source=folder.name)])
    return Hidden(found, tuple(truth), folder)


def linked(clips: Manifest, folder: Path, seed: int) -> list[Path]:
    """Make links to the videos of a list in one folder, under random numbers as names; return them in the list's order."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    links = []
    for number, sample in zip(np.random.default_rng(seed).permutation(len(clips)).tolist(), clips, strict=True):
        links.append(folder / f"{number:06d}{sample.path.suffix}")
        os.symlink(sample.path.resolve(), links[-1])  # noqa: PTH211
    return links


def pairs_of(count: int) -> Iterator[Pair]:
    return combinations(range(count), 2)


def share(part: int, whole: int, digits: int = 1) -> str:
    return f"{part} of {whole}, {100 * part / whole:.{digits}f} %" if whole else "none"


def print_found(of: Hidden, what: str) -> None:
    """Print Marey's summary and notes, and the time that the search took."""
    found = of.found
    print(f"\n{what}: {len(found.ids)} videos, {found.core_seconds:.0f} core-seconds, of which signatures "
          f"{found.signatures.core_seconds:.0f} ({found.signatures.computed} computed); for 300 clips "
          f"{300 * found.core_seconds / len(found.ids):.0f}")  # fmt: skip
    for line in (found.summary(), *found.notes()):
        print(f"  says: {line}")


# What the command measures ---------------------------------------------------------------------------------------------


def copies(options: argparse.Namespace) -> None:
    """Measure how many copies of each kind are found."""
    files = _planted(options, "copies", with_fixed=True)
    of = hidden([one.path for one in files], [f"{one.base.content}, {one.kind}" for one in files], files[0].path.parent)
    print_found(of, "copies")
    original = {one.base.path: row for row, one in enumerate(files) if one.kind == ORIGINAL}
    kinds, missed, every, together = Counter[str](), [], Counter[str](), Counter[str]()
    for row, one in enumerate(files):
        if one.kind != ORIGINAL:
            every[one.kind] += 1
            if of.copies(row, original[one.base.path]):
                kinds[one.kind] += 1
            else:
                missed.append((original[one.base.path], row))
    wrong = []
    for one, other in pairs_of(len(files)):
        same = files[one].base.content == files[other].base.content
        together[f"same {same}"] += 1
        if of.copies(one, other):
            together[f"found {same}"] += 1
            wrong += [] if same else [(one, other)]
    alone = _found_alone(files, original)
    print("\n| kind | found | found in a list of the original and the copy alone |\n|---|---|---|")
    for kind in SETTINGS[options.setting].kinds:
        print(f"| {kind} | {share(kinds[kind], every[kind])} | {share(alone[kind], every[kind])} |")
    plain = ("encoded", "scaled", "cropped")
    print(f"| {', '.join(plain)}, together | {share(*(sum(of[kind] for kind in plain) for of in (kinds, every)))} |")
    print(f"| all pairs of one content | {share(together['found True'], together['same True'], 2)} |")
    print(f"| pairs of different videos that are called copies | {share(len(wrong), together['same False'], 4)} |")
    direct = [
        (link.first, link.second)
        for link in of.found.links
        if link.relation is Relation.COPY and files[link.first].base.content != files[link.second].base.content
    ]
    print(f"| of these, compared directly; the others follow from them | {len(direct)} |")
    linked_otherwise = _of_one_content(of, files)
    still = sum(linked_otherwise[one] == linked_otherwise[other] for one, other in missed)
    print(
        f"| missed, but of one recording with the original, directly or by other copies | {share(still, len(missed))} |"
    )
    print(f"  missed: {'; '.join(_named(missed, files))}")
    print(f"  called copies directly: {'; '.join(_named(direct, files))}")
    of.page("copies-missed", missed, options.seed)
    of.page("copies-false", direct, options.seed)
    of.sheets("copies", [one.base.content for one in files])


def _found_alone(files: Sequence[Planted], original: Mapping[Path, int]) -> Counter[str]:
    """How many copies of each kind are found in a list of only the copy and its original, where no other copy can help."""
    found = Counter[str]()
    for one in files:
        if one.kind != ORIGINAL:
            both = VideoList.from_paths([files[original[one.base.path]].path, one.path])
            links = find_links(compute_signatures(both, workers=0), workers=0)
            found[one.kind] += any(link.relation is Relation.COPY for link in links)
    return found


def _of_one_content(of: Hidden, files: Sequence[Planted]) -> NDArray[np.int64]:
    """[N]: the connected component of each video, by links of any relation between videos of the same content."""
    pairs = [(link.first, link.second) for link in of.found.links]
    same = [(a, b) for a, b in pairs if files[a].base.content == files[b].base.content]
    return components(len(files), same)


def cuts(options: argparse.Namespace) -> None:
    """Measure how many clips are assigned to their recording."""
    files = _planted(options, "cuts", with_fixed=False)
    of = hidden([one.path for one in files], [f"{one.base.content}, {one.kind}" for one in files], files[0].path.parent)
    print_found(of, "cuts")
    print(f"  {len({one.base.content for one in files})} recordings of {len({one.base.place for one in files})} places")
    recordings, places = [one.base.content for one in files], [one.base.place for one in files]
    _recordings(of, "cuts", recordings, places, options.seed)
    called = [pair for pair in pairs_of(len(files)) if of.copies(*pair)]
    print(f"  pairs called copies, though none is: {len(called)}: {'; '.join(_named(called, files))}")
    of.page("cuts-copies", called, options.seed)
    of.sheets("cuts", recordings)


def column(options: argparse.Namespace) -> None:
    """Compare found recordings with a list's column `group`, which is hidden from the search."""
    clips = read_manifest(options.list)
    clips = replace(clips if not options.few else clips[::4], splits=None)
    assert clips.groups is not None
    groups = clips.groups
    links = linked(clips, options.work / "column", options.seed)
    truth = [f"{group}, {label}" for group, label in zip(groups.tolist(), clips.labels_in_words(), strict=True)]
    of = hidden(links, truth, options.work / "column")
    print_found(of, str(options.list))
    _recordings(of, "column", groups.tolist(), groups.tolist(), options.seed)
    of.sheets("column", groups.tolist())
    print("\n| folds of | recordings of several clips | right out of fold |\n|---|---|---|")
    ways = {"single clips": clips.ids, "the column": groups, "what pictures find": of.found.by_evidence.of_row}
    for name, recordings in ways.items():
        several = sum(count > 1 for group, count in Counter(recordings.tolist()).items() if group)
        print(f"| {name} | {several} | {_out_of_fold(clips, recordings, options.work / 'training')} |", flush=True)


def _out_of_fold(clips: Manifest, recordings: NDArray[np.str_], folder: Path) -> str:
    """The out-of-fold accuracy that `marey train` states for the list with `recordings` as its column `group`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    replace(clips, groups=recordings).write_csv(folder / "list.csv")
    words = [sys.executable, "-m", "marey", "train", str(folder / "list.csv"), "--out", str(folder / "run")]
    measured(words, {})
    result = EvaluationResult.load(folder / "run")
    return f"{100 * result.top1:.1f} % of {result.num_videos}"


def motions(options: argparse.Namespace) -> None:
    """Measure on generated scenes, two clips of each."""
    for look, name in ((NOISE, "old look"), (DRAWN, "drawn")):
        folder = options.work / f"motions-{name.replace(' ', '-')}"
        count = 48 if options.few else MOTIONS
        clips = write_motions(folder / "clips", train=count, test=12, size=128, frames=20, look=look)[0]
        assert clips.groups is not None
        groups = clips.groups
        links = linked(clips, folder / "hidden", options.seed)
        truth = [
            f"scene {group}, {label}" for group, label in zip(groups.tolist(), clips.labels_in_words(), strict=True)
        ]
        of = hidden(links, truth, folder / "hidden")
        print_found(of, f"motions, {name}")
        _recordings(of, folder.name, groups.tolist(), groups.tolist(), options.seed)


def fixed(options: argparse.Namespace) -> None:
    """Measure on videos of one camera that never moved."""
    clips = make_manifest(
        [(path.name, "a clip") for path in sorted(options.fixed.iterdir())], root=options.fixed, source="fixed"
    )
    of = hidden(linked(clips, options.work / "fixed", options.seed), clips.ids.tolist(), options.work / "fixed")
    print_found(of, str(options.fixed))
    known = of.found.by_evidence.of_row[of.found.by_evidence.known]
    largest = max(Counter(known.tolist()).values(), default=0)
    print(
        f"  {of.found.fixed_camera.sum()} before the fixed camera; "
        f"the recording of {len(known)} known, the largest of {largest}"
    )


def cost(options: argparse.Namespace) -> None:
    """What the command spends with an empty cache."""
    scenes = (24 if options.few else COST_CLIPS) // 12
    folder = options.work / "cost"
    clips = write_motions(folder / "clips", train=12 * scenes, test=12, size=256, frames=45)[0]
    listing, found = folder / "list.csv", folder / "found.csv"
    replace(clips, splits=None, groups=None).write_csv(listing)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    words = [sys.executable, "-m", "marey", "data", "sources", str(listing), "--out", str(found)]
    spent = measured(words, {"MAREY_CACHE": str(folder / "cache")})
    print(
        f"\ncost: {len(clips)} generated clips, 256x256 pixels, 3 s, the whole command (core-seconds first): {spent.text}"
    )


# Used by several of these ----------------------------------------------------------------------------------------------


def _planted(options: argparse.Namespace, what: str, *, with_fixed: bool) -> list[Planted]:
    drawn = 4 if options.few else options.drawn * (CUT_MORE if what == "cuts" else 1)
    bases = bases_of(options.folders, options.fixed if with_fixed else None, options.list, drawn, options.seed)
    print(f"\n{what}: {'; '.join(bases.lines())}", flush=True)
    folder = options.work / what
    usable = bases.usable[::2] if options.few else bases.usable
    if what == "cuts":
        usable = tuple({base.content: base for base in reversed(usable)}.values())[::-1]
    return plant(usable, options.setting, folder, cut=what == "cuts", seed=options.seed)


def _recordings(of: Hidden, name: str, recordings: Sequence[str], places: Sequence[str], seed: int) -> None:
    """Print how many pairs were found to be of one recording, by whether they are; write pages of the wrong ones."""
    true = found = other_places = same_place = 0
    missed, beyond = [], []
    for one, other in pairs_of(len(of.truth)):
        together, same = of.together(one, other), recordings[one] == recordings[other]
        known_place = not same and places[one] == places[other]
        true, found = true + same, found + (same and together)
        same_place += known_place and together
        other_places += not same and not known_place
        if same and not together:
            missed.append((one, other))
        if together and not same and not known_place:
            beyond.append((one, other))
    print("\n| pairs of clips | in one recording |\n|---|---|")
    print(f"| of one recording | {share(found, true, 2)} |")
    print(f"| of different recordings of one known place | {same_place} |")
    print(f"| of different recordings otherwise | {share(len(beyond), other_places, 3)} |", flush=True)
    joined_pairs = Counter(tuple(sorted((places[one], places[other]))) for one, other in beyond)
    joined = "; ".join(f"{a} + {b} ({count})" for (a, b), count in joined_pairs.most_common(SHOWN))
    print(f"  {len(joined_pairs)} pairs of places joined: {joined}")
    print(f"  missed: {'; '.join(f'[{of.truth[a]} / {of.truth[b]}]' for a, b in missed[:30])}")
    of.page(f"{name}-missed", missed, seed)
    shuffled = [beyond[place] for place in np.random.default_rng(seed).permutation(len(beyond))]
    one_each = {tuple(sorted((places[one], places[other]))): (one, other) for one, other in shuffled}
    of.page(f"{name}-beyond", list(one_each.values()), seed)


def _named(pairs: Sequence[Pair], files: Sequence[Planted]) -> list[str]:
    """The first pairs as text: content and kind of both files."""
    shown = [(files[one], files[other]) for one, other in pairs[:SHOWN]]
    return [f"{a.base.content} {a.kind} / {b.base.content} {b.kind}" for a, b in shown]


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "copies": copies,
    "cuts": cuts,
    "column": column,
    "motions": motions,
    "fixed": fixed,
    "cost": cost,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument(
        "--folders", nargs="+", type=Path, default=[], help="of videos that copies and cuts are made of"
    )
    parser.add_argument("--fixed", type=Path, help="a folder of videos of one fixed camera")
    parser.add_argument("--list", type=Path, help="a list with a column `group`, such as skate2.csv")
    parser.add_argument(
        "--drawn", type=int, default=30, help="videos of the list that copies and cuts are made of, too"
    )
    parser.add_argument("--setting", choices=("first", "second"), default="first", help="how copies and cuts are made")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/recordings"), help="for what is written")
    parser.add_argument("--few", action="store_true", help="a small part of everything: does it run?")
    options = parser.parse_args()
    if options.list is None and "column" in options.parts:
        parser.error("column: name a list by --list")
    if options.fixed is None and "fixed" in options.parts:
        parser.error("fixed: name a folder by --fixed")
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    os.environ["MAREY_CACHE"] = str(options.work / "cache")
    print(f"{cpu()}, {date.today()}, setting {options.setting}, seed {options.seed}")
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
