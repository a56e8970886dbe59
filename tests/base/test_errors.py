"""An error's message is that of the command line; behind a traceback stands what its options are called in Python."""

import inspect
import pickle
import traceback

import pytest

import marey
from marey.base.errors import _PARAMETERS


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_options_are_named_as_parameters() -> None:
    error = marey.RunError("runs/a holds another run: resume it with --resume, or choose another --out (--max-broken).")
    assert notes(error) == ["In Python --resume is resume=, --out is out=, --max-broken is max_broken="]
    assert str(error).endswith("choose another --out (--max-broken).")
    assert "".join(traceback.format_exception_only(error)).endswith("max_broken=\n")
    assert notes(marey.DecodeError("a.mp4", "--root FOLDER")) == ["In Python --root is root="]
    assert notes(marey.RecipeError("--set a=b: no such key; --set c=d")) == [
        'In Python --set is settings=["KEY=VALUE"]'
    ]


@pytest.mark.parametrize("message", ["no such file", "a--out.mp4: no video", "--list is of marey data prepare", ""])
def test_other_messages_have_no_note(message) -> None:
    assert notes(marey.DataError(message)) == []
    assert notes(marey.MareyError()) == []


@pytest.mark.parametrize(
    "error", [marey.RunError("--device cuda"), marey.DecodeError("a", "--root"), marey.WeightsError("no --option")]
)
def test_notes_travel_between_processes(error) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), notes(again), type(again)) == (str(error), notes(error), type(error))


def test_every_parameter_that_is_named_exists() -> None:
    functions = (marey.predict, marey.evaluate, marey.features, marey.train, marey.fit, marey.load_model, marey.Compute)
    there = {name for function in functions for name in inspect.signature(function).parameters}
    assert {word.partition("=")[0] for word in _PARAMETERS.values()} <= there


def test_an_error_of_a_call_has_it() -> None:
    with pytest.raises(marey.RunError, match="^--device no-such") as caught:
        marey.evaluate(marey.build_model(marey.get_recipe("slowonly_r18_8x2_motions")), "none.csv", device="no-such")
    assert notes(caught.value) == ["In Python --device is device="]
