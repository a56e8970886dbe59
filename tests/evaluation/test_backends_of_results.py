"""A result names exactly the backends that computed its scores."""

import json
from pathlib import Path

import numpy as np
import pytest

import marey
from marey.backends import choose
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest
from marey.evaluation.run import evaluate
from tests.support.planted import Planted, classifier

VIDEOS_PER_CLASS = 3

OPENVINO = {"asked": "openvino", "ran": "openvino", "tolerance": 1e-3}
EAGER = {"asked": "eager", "ran": "eager"}


@pytest.fixture(scope="module")
def videos(videos: Path) -> Manifest:
    return list_folder(videos)


def backend_of_run(videos, out, backend, *, change=lambda result: result + 1e-7, stop_after=None):
    """Evaluate into `out`, with a compiler in place of OpenVINO that changes logits; returns the backend in result.json."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choose, "COMPILERS", (Planted("openvino", change=change),))
        if stop_after is not None:
            score, scored = marey.evaluation.run.score_video, []

            def stopping(*args, **kwargs):
                if len(scored) == stop_after:
                    raise KeyboardInterrupt
                scored.append(1)
                return score(*args, **kwargs)

            patched.setattr("marey.evaluation.run.score_video", stopping)
            with pytest.raises(KeyboardInterrupt):
                evaluate(classifier(), videos, out=out, workers=0, device="cpu", backend=backend)
            return None
        evaluate(classifier(), videos, out=out, workers=0, device="cpu", backend=backend)
    return json.loads((out / "result.json").read_text())["protocol"].get("backend")


def names(report):
    return {name: report[name] for name in OPENVINO if name in report}


def test_a_backend_that_computed_nothing_is_not_named(videos, tmp_path) -> None:
    assert backend_of_run(videos, tmp_path, "eager") is None
    before = (tmp_path / "result.json").read_bytes()
    assert backend_of_run(videos, tmp_path, "openvino") is None
    assert (tmp_path / "result.json").read_bytes() == before


def test_the_backend_that_computed_is_still_named_after_a_resume_without_work(videos, tmp_path) -> None:
    report = backend_of_run(videos, tmp_path, "openvino")
    assert names(report) == OPENVINO
    assert 0 < report["difference"] < 2e-7
    assert backend_of_run(videos, tmp_path, "eager") == report


def test_a_run_resumed_with_another_backend_names_both(videos, tmp_path) -> None:
    backend_of_run(videos, tmp_path, "openvino", stop_after=2)
    assert [names(report) for report in backend_of_run(videos, tmp_path, "eager")] == [EAGER, OPENVINO]


def test_partial_scores_of_version_0_1_0_count_as_eager(videos, tmp_path) -> None:
    backend_of_run(videos, tmp_path, "eager", stop_after=2)
    (part,) = (tmp_path / "parts").iterdir()
    with np.load(part) as file:
        kept = {name: file[name] for name in ("rows", "probabilities")}
    np.savez(part, **kept)
    assert [names(report) for report in backend_of_run(videos, tmp_path, "openvino")] == [EAGER, OPENVINO]


def test_a_backend_that_failed_midway_and_eager_are_both_named(videos, tmp_path) -> None:
    passes = []

    def failing(result):
        passes.append(1)
        if len(passes) == 3:
            raise ValueError("no memory")
        return result

    fallen, right = backend_of_run(videos, tmp_path, "openvino", change=failing)
    assert (fallen["ran"], right["ran"]) == ("eager", "openvino")
    assert "no memory" in fallen["why"]


@pytest.mark.parametrize(("change", "expected"), [(2.0, ["eager", "openvino"]), (1 + 1e-5, ["openvino"])])
def test_the_backends_of_all_processes_are_named(videos, tmp_path, monkeypatch, change, expected) -> None:
    """In the second of two processes the backend differs more: so much that it falls back to eager, or a little."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(choose, "COMPILERS", (Planted("openvino", change=lambda result: result * change),))
    evaluate(classifier(), videos, out=tmp_path, workers=0, device="cpu", backend="openvino")
    monkeypatch.setenv("RANK", "0")
    found = backend_of_run(videos, tmp_path, "openvino", change=lambda result: result)
    reports = found if isinstance(found, list) else [found]
    assert [report["ran"] for report in reports] == expected
    assert reports[0]["difference"] > 0
