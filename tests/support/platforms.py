"""Which systems a test can run on."""

import sys

import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals, pipes, links or forks")
"""For a test that kills a process by a signal, forks, or makes a pipe with a name."""
