"""Cached files of arrays, and notices about damaged ones."""

import zipfile

import numpy as np
import pytest

from marey.base.array_files import ArrayFiles, read_arrays
from marey.base.cache import signatures_folder
from marey.base.reporter import reporting
from tests.support.collecting import Collecting

ARRAYS = {"a": np.arange(50, dtype=np.uint8), "b": np.ones((3, 4), np.float32)}


@pytest.fixture
def files(cache) -> ArrayFiles:
    files = ArrayFiles(signatures_folder("1"), "signatures")
    files.write(1, ARRAYS)
    return files


def test_arrays_are_read_as_they_were_written(files) -> None:
    read = files.read(1)
    assert read is not None
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)
    assert files.read(2) is None
    assert (1 in files, 2 in files) == (True, False)


def test_another_process_finds_cached_files(files) -> None:
    again = ArrayFiles(files.folder, "signatures")
    assert again.hold([1, 2]) == {1}


@pytest.mark.parametrize("flipped", [1, 128])
def test_a_bit_that_is_wrong_never_gives_wrong_numbers(flipped, files) -> None:
    """Wherever the bit is: the file is damaged, or arrays are missing (in the table of contents), or it has no effect."""
    path = files.path(1)
    content = path.read_bytes()
    with reporting(said := Collecting()):
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= flipped
            path.write_bytes(changed)
            for name, array in (read_arrays(path) or {}).items():
                assert np.array_equal(array, ARRAYS[name]), place
    assert set(said.notices) == {f"{path}: is damaged, and is computed again"}


@pytest.mark.parametrize("flag", [1, 8, 32])
def test_a_file_that_seems_encrypted_or_compressed_is_damaged(flag, files) -> None:
    path = files.path(1)
    with zipfile.ZipFile(path) as archive:
        table = archive.start_dir
    content = bytearray(path.read_bytes())
    content[table + (10 if flag == 8 else 8)] |= flag  # the method, or the flags, of the first array
    path.write_bytes(content)
    with reporting(said := Collecting()):
        assert read_arrays(path) is None
    assert said.notices == [f"{path}: is damaged, and is computed again"]
