"""Answers for one video or a million: what `marey predict` does."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from marey.base.errors import DataError
from marey.base.files import atomic_path
from marey.base.progress import progress
from marey.data.formats import read_manifest
from marey.data.manifest import VIDEO_SUFFIXES
from marey.inference.predict import predict_many
from marey.models.network import Network
from marey.video.frames import holds_images


@dataclass(frozen=True)
class Answer:
    """The likeliest classes of one video, or why there is none."""

    path: str
    top: tuple[tuple[str, float], ...]
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        return {"path": self.path, "top": [{"label": label, "probability": p} for label, p in self.top]}

    def as_text(self) -> str:
        if self.error is not None:
            return self.error
        lines = [f"  {probability:6.1%}  {label}" for label, probability in self.top]
        return "\n".join([self.path, *lines])


def answer(
    network: Network,
    paths: Iterable[Path],
    *,
    top: int = 5,
    out: Path | None = None,
    batch: int = 8,
    device: str = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> Iterator[Answer]:
    """Answer for each video in turn, as soon as it is ready; a broken file gives an answer with `error`.

    With `out`, each answer is a line of that .jsonl file as well, and videos that it already answers are skipped:
    a long list can be interrupted and gone on with.
    """
    wanted = list(paths)
    done = _answered(out) if out else {}
    todo = [path for path in wanted if str(path) not in done]
    yield from (done[str(path)] for path in wanted if str(path) in done)
    with progress("Predicting", total=len(todo), unit="videos") as bar:
        for item in predict_many(network, todo, batch=batch, device=device, precision=precision):
            found = Answer(str(item.path), () if item.error else tuple(item.top(top)), item.error)
            if out:
                _append(out, found)
            bar.advance(1)
            yield found


def videos_of(words: Iterable[Path]) -> list[Path]:
    """The videos that a command line names: files, folders of frames, folders that are searched, lists (.txt, .csv).

    Raises:
        DataError: nothing is there, or a folder holds no video.
    """
    found: list[Path] = []
    for word in words:
        if word.is_dir() and holds_images(word):
            found.append(word)
        elif word.is_dir():
            inside = sorted(p for p in word.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
            if not inside:
                raise DataError(f"{word}: no video files in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}).")
            found += inside
        elif word.suffix.lower() == ".csv":
            found += [sample.path for sample in read_manifest(word)]
        elif word.suffix.lower() == ".txt":
            found += [word.parent / line for line in word.read_text(encoding="utf-8").splitlines() if line.strip()]
        elif word.exists():
            found.append(word)
        else:
            raise DataError(f"{word}: no such file.")
    return found


def _answered(out: Path) -> dict[str, Answer]:
    """What an earlier call wrote. A last line that a crash cut short is dropped, and the file mended."""
    if not out.exists():
        return {}
    answers, whole = {}, []
    for line in out.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
            top = tuple((t["label"], t["probability"]) for t in value.get("top", ()))
            answers[value["path"]] = Answer(value["path"], top, value.get("error"))
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
        whole.append(line)
    with atomic_path(out) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return answers


def _append(out: Path, found: Answer) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found.as_json(), ensure_ascii=False) + "\n")
