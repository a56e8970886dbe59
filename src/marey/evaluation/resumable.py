"""The videos that a test has scored so far, saved in part files, so that an interrupted test is resumed."""

import contextlib
import json
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from marey.backends.backend import Backend, BackendReport
from marey.base.claim import Claim, Command, OutputPath
from marey.base.files import atomic_path
from marey.base.processes import processes
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.files.identity import Identities, was_seen
from marey.data.files.quarantine import BROKEN, Broken, Quarantine, broken_list
from marey.data.lists.manifest import Manifest
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.result import SCORES, EvaluationResult
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import list_facts

_SAVE_EVERY = 20.0
"""Seconds between two part files."""
_MAY_DIFFER = frozenset({"versions", "device", "weights_file"})
"""The fields of the protocol that may differ between a test and its resumption."""
_EAGER = BackendReport(asked="eager", ran="eager").as_json()


def claim_folder(out: Path, protocol: EvaluationProtocol, data: Manifest) -> Claim:
    """The claim of a test on its folder, so that the folder holds no other test and no other run works there."""
    return Claim(
        OutputPath.folder(out), Command.EVALUATE, protocol.as_json(), list_facts(data), may_differ=_MAY_DIFFER,
        share=processes().rank if processes().world > 1 else None,
    )  # fmt: skip


class ResumableTest:
    """The state of one test: the scores of the videos that are done, and the broken files.

    Args:
        out: The folder of the test; None: nothing is written, and an interrupted test cannot be resumed.
        protocol: The protocol of the test.
        data: The videos to test.
        max_broken: A larger share of broken files stops the test, 0 to 1; None: more than 1 % and more than three files do.
        missing: Paths of files that a warning has already named as missing.
    """

    def __init__(
        self, out: Path | None, protocol: EvaluationProtocol, data: Manifest, max_broken: float | None,
        missing: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.out, self.protocol, self.data = out, protocol, data
        self.rank, self.world = processes().rank, processes().world
        self.done: dict[int, NDArray[np.float32]] = {}
        """Probabilities [K] by row."""
        self.identities: dict[int, int] = {}
        """The identity of each row's content, where it is known: version 0.1.0 did not record it."""
        self._trained_on: dict[str, bool] = {}
        """By video id, whether the network was trained on the content of the video, as a score file in the folder says."""
        self._reports: set[str] = set()
        """Reports of the backends that computed what is done, as JSON."""
        if out is not None:
            self._read_saved(out)
        if self.done:
            count, were = counted(len(self.data), "video"), "is" if len(self.done) == 1 else "are"
            notice(f"resumed: {len(self.done):,} of {count} {were} tested already")
        record = None if out is None else broken_list(out, rank=self.rank)
        self._ids = {video.id for video in data.videos}
        self.quarantine = Quarantine(record, total=len(data), max_share=max_broken, ids=self._ids, announced=missing)
        if not self.done:
            self.quarantine.forget()
        self._broken_ids = {broken.id for broken in self.quarantine.files}
        if out is not None and self.rank:  # a finished test has one list of broken files, which process 0 wrote
            first = Quarantine(out / BROKEN, total=len(data), max_share=1, ids=self._ids)
            self._broken_ids |= {broken.id for broken in first.files} if self.done else set()

    def rows_to_do(self) -> list[int]:
        """The rows that this process still has to test. Each of W processes takes every W-th row, so that no video is tested
        twice.
        """
        mine = range(self.rank, len(self.data), self.world)
        return [row for row in mine if row not in self.done and self.data[row].id not in self._broken_ids]

    def collect(self, scored: Iterator[tuple[int, NDArray[np.float32] | Broken, int]], backend: Backend) -> None:
        """Take (row, probabilities or broken file, identity) from `scored`, which runs the network on `backend`. A part
        file is written every 20 seconds and at the end, also when the test is interrupted.
        """
        fresh: dict[int, NDArray[np.float32]] = {}
        reports: set[str] = set()
        saved = time.monotonic()
        try:
            for row, probabilities, identity in scored:
                if isinstance(probabilities, Broken):
                    self.quarantine.record(probabilities)
                    continue
                fresh[row], self.identities[row] = probabilities, identity
                reports.add(json.dumps(backend.report().as_json()))
                if time.monotonic() - saved > _SAVE_EVERY:
                    self._save_part(fresh, reports)
                    fresh, reports, saved = {}, set(), time.monotonic()
        finally:
            self._save_part(fresh, reports)

    def wait_for_all(self) -> None:
        """In process 0, wait until each video is in a part file or list of broken files, of whichever process."""
        while self.out is not None and self.world > 1 and self.rank == 0 and not self._all_done(self.out):
            time.sleep(0.3)

    def write(self, result: EvaluationResult) -> None:
        """In process 0, write the result and the README, and remove the part files."""
        if self.out is not None and self.rank == 0:
            result.save(self.out)
            self._remove_parts(self.out)
            write_readme(self.out)

    def backend_report(self) -> JsonValue:
        """The report of the backend that computed the scores, or a list of several. Of reports with the same `asked` and
        `ran`, the one with the largest difference from eager float32 is kept. None: eager was asked for, and computed
        all.
        """
        found = {}
        for report in sorted(map(json.loads, sorted(self._reports)), key=lambda report: report.get("relative", 0)):
            found[report["asked"], report["ran"]] = report  # the last one differs most
        several = [found[names] for names in sorted(found)]
        if several == [_EAGER]:
            return None
        return several[0] if len(several) == 1 else several

    def trained_on(self, rows: Sequence[int], known: Identities | None) -> NDArray[np.bool_] | None:
        """For each of these rows, whether the network was trained on the content of the video.

        Args:
            rows: The rows.
            known: The identities of the network's training videos.

        Returns: None if `known` is None, or if the identity of a row's content is not known.
        """
        if known is None:
            return None
        found = []
        for row in rows:
            if row in self.identities:
                found.append(was_seen(self.data[row], self.identities[row], known))
            elif (seen := self._trained_on.get(self.data[row].id)) is not None:
                found.append(seen)
            else:
                return None
        return np.array(found, np.bool_)

    # -- files

    def _save_part(self, fresh: dict[int, NDArray[np.float32]], reports: set[str]) -> None:
        self.done |= fresh
        self._reports |= reports
        if self.out is None or not fresh:
            return
        name = f"{self.rank}-{min(fresh)}-{len(fresh)}.npz"
        with atomic_path(self.out / "parts" / name) as temporary:
            np.savez(
                temporary, rows=np.array(list(fresh)), probabilities=np.stack(list(fresh.values())),
                backend=np.array(sorted(reports)),
                identities=np.array([self.identities[row] for row in fresh], np.uint64),
            )  # fmt: skip

    def _read_saved(self, out: Path) -> None:
        """Read what all processes have saved so far: the part files of a test in progress, or the scores of a finished one.

        Part files are read first, because they are removed after the scores are written.
        """
        for part in sorted((out / "parts").glob("[0-9]*.npz")):
            with contextlib.suppress(FileNotFoundError), np.load(part) as file:
                rows = file["rows"].tolist()
                self.done |= dict(zip(rows, file["probabilities"], strict=True))
                if "identities" in file:
                    self.identities |= dict(zip(rows, file["identities"].tolist(), strict=True))
                # Version 0.1.0 recorded no backend, because it had only eager.
                self._reports |= set(file["backend"].tolist()) if "backend" in file else {json.dumps(_EAGER)}
        if len(self.done) < len(self.data) and (out / SCORES).exists():
            self._read_scores(out)

    def _read_scores(self, out: Path) -> None:
        """Read the score file in the folder; ignore it if it is that of another test."""
        scores = Scores.load(out / SCORES)
        saved = scores.protocol
        if not isinstance(saved, EvaluationProtocol) or _identifying(saved) != _identifying(self.protocol):
            return
        index = {name: number for number, name in enumerate(scores.ids)}
        rows = [(row, index[video.id]) for row, video in enumerate(self.data.videos) if video.id in index]
        self.done = {row: scores.probabilities[number] for row, number in rows} | self.done
        if scores.trained_on is not None:
            self._trained_on = dict(zip(scores.ids, scores.trained_on.tolist(), strict=True))
        used = _EAGER if saved.backend is None else saved.backend
        self._reports |= {json.dumps(one) for one in (used if isinstance(used, list) else [used])}

    def _all_done(self, out: Path) -> bool:
        """Read what all processes have saved so far, and return whether each video is tested or broken."""
        self._read_saved(out)
        for record in out.glob("broken-*.jsonl"):
            for broken in Quarantine(record, total=len(self.data), max_share=1, ids=self._ids).files:
                self.quarantine.record(broken)
        return len(self.done) + len(self.quarantine) >= len(self.data)

    def _remove_parts(self, out: Path) -> None:
        """Remove the part files and the other processes' lists of broken files, whose content is now in the result."""
        shutil.rmtree(out / "parts", ignore_errors=True)
        for record in out.glob("broken-*.jsonl"):
            record.unlink(missing_ok=True)


def _identifying(protocol: EvaluationProtocol) -> tuple[JsonValue, ...]:
    """The fields of a protocol by which a score file is recognised as that of a test. The other settings need no comparison
    here: the claim on the folder has compared them with evaluate.json.
    """
    known = (protocol.weights_sha256, protocol.data_fingerprint, protocol.batch, protocol.precision, protocol.split)
    return (*known, protocol.folds)
