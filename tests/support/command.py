"""The command `marey`, run in the process of the test."""

from typer.testing import CliRunner, Result

from marey.cli.app import app


def marey(*words: object) -> Result:
    """What the command gives for these words: its exit code and what it wrote."""
    return CliRunner().invoke(app, [str(word) for word in words])
