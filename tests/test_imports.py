"""Commands that only look things up start at once: they load no torch, no decoder, no trainer."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "av", "cv2", "lightning_fabric"}
SLOW = HEAVY | {"numpy", "pydantic", "rich"}
"""HEAVY, and what the command line imports only when a command needs it."""


def heavy_modules(code: str, watched: set[str] = HEAVY) -> set[str]:
    """Those of the watched modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print('LOADED', *sorted({watched!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def command(*words: str) -> str:
    return (
        "from typer.testing import CliRunner\nfrom marey.cli.app import app\n"
        f"result = CliRunner().invoke(app, {list(words)!r})\nassert result.exit_code == 0, result.output"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import marey",
        "import marey; marey.get_recipe('slowonly_r50_8x8_k400')",
        command("--help"),
        command("list"),
        command("list", "--json"),
        command("list", "slowonly", "--network", "slowonly", "--available"),
        command("weights", "list"),
        command("weights", "verify"),
        command("cache"),
        command("show", "slowonly_r50_8x8_k400"),
    ],
    ids=[
        "import",
        "get_recipe",
        "help",
        "list",
        "list-json",
        "list-words",
        "weights-list",
        "weights-verify",
        "cache",
        "show",
    ],
)
def test_commands_that_look_something_up_load_no_torch_or_decoder(code: str) -> None:
    assert heavy_modules(code) == set()


@pytest.mark.parametrize("code", ["import marey", "import marey.cli.app"])
def test_the_command_line_starts_without_arrays_and_tables(code: str) -> None:
    assert heavy_modules(code, SLOW) == set()


def test_the_version_needs_the_decoder_alone() -> None:
    """Nothing but PyAV knows its FFmpeg."""
    assert heavy_modules(command("--version")) == {"av"}


def test_predict_needs_no_trainer() -> None:
    assert "lightning_fabric" not in heavy_modules("import marey; marey.predict, marey.load_model, marey.evaluate")


def test_every_public_name_resolves() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import marey; [getattr(marey, n) for n in marey.__all__]"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
