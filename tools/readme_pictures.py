"""Take the screenshots that README shows: docs/pictures/answer.png and report.png. `python tools/readme_pictures.py`.

Writes videos of `motions`, trains the demo's network on them and predicts a new one, all by Marey's own commands. A
headless Chromium or Chrome then takes screenshots of the top of both pages. Videos and network stay in --work, so that a
second call makes only predictions, report and screenshots anew. The first call takes a few minutes, later ones some
seconds.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.motions import write_motions

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
WORK = ROOT / "build" / "readme-pictures"
RECIPE = "slowonly_r18_8x2_motions"
SHOWN = "clockwise"
"""The class of the video whose prediction is shown."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_WIDTH = 860
"""Pixels of a page: README is about as wide on GitHub, so that its letters keep their size there."""
_HEIGHTS = {"answer": 560, "report": 760}
_LARGEST = 300_000
"""Most bytes of a picture."""


def find_browser(named: str | None) -> str:
    """The browser that takes the screenshots: the one that is named, else the first that the system finds.

    Raises:
        SystemExit: there is none.
    """
    found = shutil.which(named) if named else next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None and not named and _MAC.exists():
        found = str(_MAC)
    if found is None:
        raise SystemExit(
            f"{named}: no such program." if named else
            f"no browser found ({', '.join(BROWSERS)}): install Chromium or Chrome, or name one with --browser PATH."
        )  # fmt: skip
    return found


def marey(*words: str | Path, at: Path) -> None:
    """A command of Marey's, offline, as its user would type it in a folder."""
    environment = {**os.environ, "MAREY_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([sys.executable, "-m", "marey", *map(str, words)], check=True, env=environment, cwd=at)


def pages(work: Path) -> dict[str, Path]:
    """Train once, then predict and report; return the page of each picture by the picture's name."""
    _, new = write_motions(work / "clips", train=1344, test=120, size=128, frames=20)
    run = work / "motions"
    if not (run / "report.html").exists():
        shutil.rmtree(run, ignore_errors=True)
        marey("train", RECIPE, "--data", "clips/motions.csv", "--out", run.name, at=work)
    marey("report", run.name, at=work)
    answers = work / "answers"
    shutil.rmtree(answers, ignore_errors=True)  # else they are added to those of an earlier call
    chosen = Path(new[new.labels.tolist().index(new.class_names.index(SHOWN))].path).relative_to(work)
    marey("predict", f"{run.name}/last.safetensors", chosen, "--out", "answers/", at=work)
    return {"answer": answers / "answers.html", "report": run / "report.html"}


def photograph(browser: str, page: Path, height: int) -> NDArray[np.uint8]:
    """The top of a page as BGR, uint8 [at most height, width, 3], without the empty space below its content."""
    # Without a sandbox, which a browser refuses to set up for root: the pages are Marey's own.
    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "shot.png"
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={scratch}/profile",
                "--force-device-scale-factor=1", f"--window-size={_WIDTH},{height}", "--virtual-time-budget=3000",
                f"--screenshot={shot}", page.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        image = cv2.imread(str(shot))
    if image is None:
        raise SystemExit(f"{browser} wrote no picture of {page}.")
    content = np.flatnonzero((image != image[-1, -1]).any(axis=(1, 2)))
    return np.asarray(image[: min(content[-1] + 17, len(image))], np.uint8) if len(content) else image


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--browser", help="Chromium or Chrome, where it is not found by its name")
    words.add_argument("--work", type=Path, default=WORK, help="where videos and network stay")
    given = words.parse_args()
    chosen = find_browser(given.browser)
    given.work.mkdir(parents=True, exist_ok=True)
    given.work = given.work.resolve()
    FOLDER.mkdir(exist_ok=True)
    for name, page in pages(given.work).items():
        picture = cv2.imencode(".png", photograph(chosen, page, _HEIGHTS[name]), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
        if len(picture) > _LARGEST:
            raise SystemExit(
                f"{name}.png would have {len(picture):,} bytes, more than {_LARGEST:,}: show less of the page."
            )
        (FOLDER / f"{name}.png").write_bytes(picture.tobytes())
        print(f"{FOLDER / f'{name}.png'}: {len(picture):,} bytes")
