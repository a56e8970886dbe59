"""pyarrow is imported when it is needed; if it is missing, one line says how to install it."""

import subprocess
import sys

import pytest

from marey.base.errors import MareyError
from marey.base.parquet import pyarrow, pyarrow_parquet


@pytest.mark.parametrize("module", [pyarrow, pyarrow_parquet])
def test_without_pyarrow_a_line_names_the_extra(module, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MareyError) as caught:
        module("l.parquet: reading Parquet")
    assert str(caught.value) == 'l.parquet: reading Parquet needs pyarrow: pip install "marey[parquet]"'


def test_the_modules_are_those_of_pyarrow() -> None:
    pytest.importorskip("pyarrow")
    assert pyarrow("x").table({"a": [1]}).num_rows == 1
    assert pyarrow_parquet("x").ParquetFile


def test_importing_marey_loads_no_pyarrow() -> None:
    code = (
        "import sys, marey, marey.base.parquet, marey.data.lists.read_manifest, marey.data.lists.read_videos; "
        "print('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
