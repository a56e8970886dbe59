"""A run that crashes in the middle of an epoch, inside the process of the test."""

import pytest

from marey.training import loop


class CrashError(Exception):
    """Imitates a crash."""


def crash_after(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs save their state after step `cut`, as if that were due, and crash after the next step."""
    done = 0

    def agreed(*_: object) -> tuple[bool, bool, bool]:
        nonlocal done
        done += 1
        if done > cut:
            raise CrashError
        return False, done == cut, False

    monkeypatch.setattr(loop, "any_process", agreed)
