"""pyarrow, which reads and writes Parquet and comes with the extra `parquet` alone."""

import importlib
from types import ModuleType

from marey.base.errors import MareyError


def pyarrow(what: str) -> ModuleType:
    """The package pyarrow, imported when it is first asked for; `what` needs it, as "list.parquet: reading Parquet".

    Raises:
        MareyError: it is not installed, or cannot be imported.
    """
    return _imported("pyarrow", what)


def pyarrow_parquet(what: str) -> ModuleType:
    """The module `pyarrow.parquet`, as `pyarrow` gives the package.

    Raises:
        MareyError: it is not installed, or cannot be imported.
    """
    return _imported("pyarrow.parquet", what)


def _imported(name: str, what: str) -> ModuleType:
    # Not an import statement: the package has no types, and nothing that does without it may load it.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MareyError(f'{what} needs pyarrow: pip install "marey[parquet]"') from None
    except ImportError as error:
        raise MareyError(
            f'{what} needs pyarrow, which is there and cannot be imported ({error}): pip install "marey[parquet]"'
        ) from None
