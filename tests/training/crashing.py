"""A run that dies in mid-epoch, in the process of the test."""

import pytest

from marey.training import loop


class CrashError(Exception):
    """Stands for a crash."""


def crash_after(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a run saves its state after step `cut`, as if that were due, and dies after the next one."""
    done = 0

    def agreed(*_: object) -> tuple[bool, bool, bool]:
        nonlocal done
        done += 1
        if done > cut:
            raise CrashError
        return False, done == cut, False

    monkeypatch.setattr(loop, "any_process", agreed)
