"""`marey` shows its public names and nothing else, at a prompt, to a star import and to a type checker."""

import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import marey

SOURCE = Path(__file__).parents[1] / "src"


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_dir_is_the_public_names_whatever_was_imported() -> None:
    modules = "marey, marey.video.reading.reader, marey.cli.app"
    code = f"import {modules}; marey.predict; print(dir(marey) == sorted(marey.__all__))"
    assert python(code) == "True\n"
    assert [name for name in dir(marey) if name.startswith("_")] == ["__version__"]
    assert all(value in marey.__doc__ for value in dir(marey) if not value.startswith("_")), "the docstring names all"


def test_a_star_import_brings_the_public_names() -> None:
    code = "before = set(dir()); from marey import *; print(*sorted(set(dir()) - before - {'before'}))"
    assert python(code).split() == sorted(marey.__all__)


def test_subpackages_are_found_without_their_own_import() -> None:
    code = "import marey; print(marey.video.__name__, marey.recipe.MultiLabel().kind)"
    assert python(code) == "marey.video multilabel\n"
    assert (
        python("import marey.video.reading.reader; print(marey.video.reading.reader.open_video is marey.open_video)")
        == "True\n"
    )


@pytest.mark.parametrize("name", ["predct", "import_module", "Any", "TYPE_CHECKING", "_HOM", "no.such"])
def test_other_names_raise_an_attribute_error(name) -> None:
    with pytest.raises(AttributeError, match=f"^module 'marey' has no attribute '{name}'$"):
        getattr(marey, name)
    assert not hasattr(marey, name)


def test_help_begins_with_what_one_types() -> None:
    text = pydoc.plain(pydoc.render_doc(marey))
    assert 'marey.predict("runs/a", "kick.mp4")' in text[:2000]
    assert "predict(model" in text
    own = text[: text.index("\nCLASSES\n")] + text[text.index("\nFUNCTIONS\n") :]
    assert not any(hidden in own for hidden in ("import_module", "TYPE_CHECKING", "_typing", "_HOME"))


TYPED = """
import marey
from pathlib import Path

model = marey.load_model("runs/a")
reveal_type(marey.predict(model, "kick.mp4"))
reveal_type(marey.predict("runs/a", Path("kick.mp4"), device="cpu"))
reveal_type(marey.predict(model, marey.read_videos("clips/")[0]))
reveal_type(marey.predict(model, ["a.mp4", Path("b.mp4")], batch=4))
reveal_type(marey.predict(model, marey.read_videos("clips/")))
reveal_type(marey.predict(model, marey.read_manifest("clips/"))[:2])
reveal_type(marey.evaluate("runs/a", "val.csv"))
reveal_type(marey.features(model, "clips/"))
reveal_type(marey.train("clips/", epochs=3, lr=0.1))
reveal_type(model)
marey.predct
"""
REVEALED = [
    "marey.tasks.prediction.Prediction", "marey.tasks.prediction.Prediction", "marey.tasks.prediction.Prediction",
    "marey.tasks.prediction.Predictions", "marey.tasks.prediction.Predictions", "marey.tasks.prediction.Predictions",
    "marey.evaluation.result.EvaluationResult", "marey.inference.features.Features",
    "marey.evaluation.result.EvaluationResult | None", "marey.classifier.classifier.Classifier",
]  # fmt: skip


@pytest.mark.slow
def test_a_type_checker_knows_what_comes_back(tmp_path, monkeypatch) -> None:
    api = pytest.importorskip("mypy.api")
    assert (SOURCE / "marey" / "py.typed").exists()
    (tmp_path / "use.py").write_text(TYPED)
    monkeypatch.setenv("MYPYPATH", str(SOURCE))
    output, _, code = api.run([str(tmp_path / "use.py"), "--cache-dir", str(tmp_path / "cache"), "--config-file", ""])
    told = [line.partition("Revealed type is ")[2].strip('"') for line in output.splitlines() if "Revealed" in line]
    assert told == REVEALED, output
    assert 'error: Module has no attribute "predct"' in output
    assert (code, output.count("error:")) == (1, 1), output
