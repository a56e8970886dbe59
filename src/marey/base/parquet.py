"""Import of pyarrow, which reads and writes Parquet and is installed only with the extra `parquet`."""

import importlib
from types import ModuleType

from marey.base.errors import MareyError


def pyarrow(what: str) -> ModuleType:
    """The package pyarrow, imported on first use. `what` begins the error message: "list.parquet: reading Parquet".

    Raises:
        MareyError: it is not installed, or cannot be imported.
    """
    return _imported("pyarrow", what)


def pyarrow_parquet(what: str) -> ModuleType:
    """The module `pyarrow.parquet`, imported like `pyarrow`.

    Raises:
        MareyError: it is not installed, or cannot be imported.
    """
    return _imported("pyarrow.parquet", what)


def _imported(name: str, what: str) -> ModuleType:
    # Not an import statement: the package has no types, and it must load only where it is needed.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MareyError(f'{what} needs pyarrow: pip install "marey[parquet]"') from None
    except ImportError as error:
        raise MareyError(
            f'{what} needs pyarrow, which is installed but cannot be imported ({error}): pip install "marey[parquet]"'
        ) from None
