"""Messages are those of the command line; a note after the traceback has the names of parameters in Python."""

import inspect
import pickle
import traceback

import pytest

import marey
from marey.base.errors import _PARAMETERS, in_python_words


def notes(error: marey.MareyError) -> list[str]:
    """The notes of an error that a Python function raises."""

    @in_python_words()
    def raised() -> None:
        raise error

    with pytest.raises(marey.MareyError) as caught:
        raised()
    assert caught.value is error
    return getattr(error, "__notes__", [])


def test_options_are_named_as_parameters() -> None:
    error = marey.RunError("runs/a holds another run: resume it with --resume, or choose another --out (--max-broken).")
    assert notes(error) == notes(error) == ["In Python --resume is resume=, --out is out=, --max-broken is max_broken="]
    assert str(error).endswith("choose another --out (--max-broken).")
    assert "".join(traceback.format_exception_only(error)).endswith("max_broken=\n")
    assert notes(marey.DecodeError("a.mp4", "--root FOLDER")) == ["In Python --root is root="]
    assert notes(marey.RecipeError("--set a=b: no such key; --set c=d")) == [
        'In Python --set is settings=["KEY=VALUE"]'
    ]


@pytest.mark.parametrize(
    "message",
    ["no such file", "a--out.mp4: no video", "--list is of marey data prepare", "--resume (resume=True in Python)", ""],
)
def test_other_messages_have_no_note(message) -> None:
    assert notes(marey.DataError(message)) == []
    assert notes(marey.MareyError()) == []


def test_every_parameter_that_is_named_exists() -> None:
    functions = (marey.predict, marey.evaluate, marey.features, marey.train, marey.fit, marey.load_model, marey.Compute)
    there = {name for function in functions for name in inspect.signature(function).parameters}
    assert {word.partition("=")[0] for word in _PARAMETERS.values()} <= there


@pytest.mark.parametrize("call", [marey.evaluate, marey.predict, marey.features])
def test_an_error_of_a_call_has_a_note(call, tmp_path) -> None:
    (tmp_path / "a.mp4").touch()
    model = marey.build_model(marey.get_recipe("slowonly_r18_8x2_motions"))
    with pytest.raises(marey.RunError, match="^--device no-such") as caught:
        call(model, tmp_path / "a.mp4", device="no-such")
    assert caught.value.__notes__ == ["In Python --device is device="]
    with pytest.raises(marey.RunError, match="^--device no-such") as caught:
        marey.fit(model.recipe, train=tmp_path, out=tmp_path / "run", device="no-such")
    assert caught.value.__notes__ == ["In Python --device is device="]
    with pytest.raises(marey.RunError, match="^--device no-such") as caught:
        marey.train(tmp_path, out=tmp_path / "run", device="no-such")
    assert caught.value.__notes__ == ["In Python --device is device="]


def test_no_error_shows_a_signature() -> None:
    address = "https://me:SECRET@h/a.mp4?token=SECRET"
    for error in (marey.DataError(f"l.csv:1: got {address!r}."), marey.DecodeError(address, "no such file")):
        assert "SECRET" not in f"{error} {error!r} {pickle.loads(pickle.dumps(error))}"
        assert "https://h/a.mp4?token=..." in str(error)
