"""Caffe2 checkpoints: pickles of `{"blobs": {name: array}}`, as PySlowFast and VMZ released theirs.

A pickle is a program, and running it could execute any code. Instead, a small interpreter follows the few instructions
that write dictionaries, numbers, strings and numpy arrays, builds the arrays itself, and refuses everything else by name.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marey.base.errors import WeightsError

_TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""The magic number at the start of a file of torch.save before version 1.6."""
_MOST_INSTRUCTIONS = 1_000_000
"""Most instructions of a pickle that are followed. A pickle of 1000 blobs has about 40 000."""
_MOST_AXES = 32
"""Most axes of an array: numpy's limit until version 2."""
_STATE = ("momentum", "model_iter", "optimizer_iteration")
_STATE_NAMES = frozenset({"lr", "iter", "epoch", "ITER"})
_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
"""Types of values that a blob may have: plain numbers, never objects."""
_TENSOR_KINDS = {"u2": np.int32, "u4": np.int64, "u8": np.int64}
"""Signed types to which unsigned ones are converted, because torch hardly computes with the latter."""


def is_caffe2(path: Path) -> bool:
    """Whether a file is a plain pickle: not an archive, and not torch's old format, which begins with its magic number."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return False
    return start[:1] == b"\x80" and _TORCH_MAGIC not in start


def read_caffe2(path: Path) -> dict[str, Tensor]:
    """Read all blobs that are arrays, by their names; nothing in the file is run.

    Raises:
        WeightsError: the file is incomplete, or holds anything except dictionaries of plain arrays.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error}).") from None
    try:
        value = _Machine(content).run()
    except _RefusedError as refused:
        raise WeightsError(
            f"{path}: holds more than arrays ({refused}); nothing in it was run. Save the plain arrays again."
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: cannot be read as a pickle of blobs; is it cut short? ({reason})") from None
    blobs = value.get("blobs", value) if isinstance(value, dict) else None
    if not isinstance(blobs, dict):
        raise WeightsError(f"{path}: expected a dictionary of blobs, got {type(value).__name__}.")
    filled = {name: blob.values for name, blob in blobs.items() if isinstance(blob, _Array)}
    tensors = {str(name): _tensor(values) for name, values in filled.items() if values is not None}
    if not tensors:
        raise WeightsError(f"{path}: holds no arrays.")
    return tensors


def is_solver_state(name: str) -> bool:
    """Whether a blob belongs to the solver and not to the network: momentum, learning rate, counters of steps."""
    return name in _STATE_NAMES or name.endswith("_lr") or any(word in name for word in _STATE)


def _tensor(value: NDArray[Any]) -> Tensor:
    kind = _TENSOR_KINDS.get(value.dtype.str[1:])
    # A copy, because torch needs writable memory in this machine's byte order.
    return torch.from_numpy(np.array(value, kind or value.dtype.newbyteorder("="), order="C"))


class _RefusedError(Exception):
    """A file contains something other than arrays, which the message names."""


def _short(text: str) -> str:
    """A name from a file, shortened for one line."""
    return " ".join(text.split())[:80]


class _PickledName:
    """A name of a Python object in an array's pickle. It stays a name: no object is looked up that could be called."""

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass
class _Type:
    """A numpy.dtype as a pickle builds it: a code such as "f4", then its byte order."""

    code: str
    """NumPy's code of the type: "f4"."""
    order: str = "="
    """Byte order as NumPy has it: "<", ">", "|" (none), or "=" for that of this machine."""

    def resolved(self) -> np.dtype[Any]:
        if self.code not in _KINDS:
            raise _RefusedError(f"values of type {_short(self.code)}")
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


_NAMES: Final = {
    f"{module} {name}": name
    for module, names in {
        "numpy.core.multiarray": ("_reconstruct", "scalar"),
        "numpy._core.multiarray": ("_reconstruct", "scalar"),
        "numpy": ("ndarray", "dtype"),
        "_codecs": ("encode",),
    }.items()
    for name in names
}
"""All names that an array's pickle may contain, of numpy before and after version 2."""
_MARK: Final = object()


@dataclass(eq=False)
class _Array:
    """An array. One instruction of the pickle makes it, and a later one (BUILD) gives it its values."""

    values: NDArray[Any] | None = None
    """The values of the array; None before BUILD."""


class _Machine:
    """Interprets a pickle of protocol 1 to 5 (see the Python module pickletools), as far as arrays need it.

    Arrays are filled from strings in the file. All arrays together may have at most as many bytes as the file, so that a
    small file cannot use much memory.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left = len(content)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the pickle describes."""
        for count, (instruction, argument, _) in enumerate(pickletools.genops(self.content)):
            if count > _MOST_INSTRUCTIONS:
                raise _RefusedError(f"more than {_MOST_INSTRUCTIONS} instructions")
            if instruction.name == "STOP":
                (value,) = self.stack
                return value
            self._do(instruction.name, argument)
        raise ValueError("no end")

    def _do(self, name: str, argument: Any) -> None:
        if name in _PUSHES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise _RefusedError(f"the instruction {name}")

    def mention(self, name: str) -> None:
        """GLOBAL: the name of a Python object. Only the few that arrays need are accepted, and none becomes a function."""
        if name not in _NAMES:
            raise _RefusedError(f"the name {_short(name.replace(' ', '.'))}")
        self.stack.append(_PickledName(_NAMES[name]))

    def mention_from_stack(self, _: Any) -> None:
        module, name = self.stack.pop(-2), self.stack.pop()
        self.mention(f"{module} {name}")

    def call(self, _: Any) -> None:
        """REDUCE: the result that numpy's own functions would give for these arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _PickledName) or not isinstance(arguments, tuple):
            raise _RefusedError("a call of something that is no name")
        match function.name, arguments:
            case "encode", (str() as text, "latin1"):
                self.stack.append(text.encode("latin1"))
            case "_reconstruct", (_PickledName(name="ndarray"), (0,), _):
                self.stack.append(_Array())
            case "dtype", (str() as code, *_):
                self.stack.append(_Type(code))
            case "scalar", (_Type() as kind, values):
                self.stack.append(_Array(self._filled((), kind, values, fortran=False)))
            case _:
                raise _RefusedError(f"a call of {function.name} that makes no array")

    def build(self, _: Any) -> None:
        """BUILD: the state of an array or of a type."""
        state, target = self.stack.pop(), self.stack.pop()
        match target, state:
            case _Type(), (int(), str() as order, None, None, None, *_) if order in "<>|=":
                self.stack.append(target)
                target.order = order
            case _Array(), (int(), tuple() as shape, _Type() as kind, bool() | int() as fortran, values):
                self.stack.append(target)
                target.values = self._filled(shape, kind, values, fortran=bool(fortran))
            case _:
                raise _RefusedError("a state that is no array's")

    def _filled(self, shape: tuple[Any, ...], kind: _Type, values: Any, *, fortran: bool) -> NDArray[Any]:
        raw = values.encode("latin1") if isinstance(values, str) else values
        if not isinstance(raw, bytes):
            raise _RefusedError("an array of objects")
        dtype = kind.resolved()
        # Sizes are compared before they are multiplied: a pickle may hold a number of a million digits.
        if len(shape) > _MOST_AXES or not all(isinstance(n, int) and 0 <= n <= len(self.content) for n in shape):
            raise _RefusedError("an array larger than the file")
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ValueError(f"an array of shape {shape} in {len(raw)} bytes")
        self.left -= len(raw)
        if self.left < 0:
            raise _RefusedError("arrays that hold more than the file")
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")

    def since_mark(self) -> list[Any]:
        """The values above the last mark; the mark and they are removed from the stack."""
        mark = max(i for i, value in enumerate(self.stack) if value is _MARK)
        above = self.stack[mark + 1 :]
        del self.stack[mark:]
        return above

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        names = items[::2]
        if type(target) is not dict or len(items) % 2 or not all(isinstance(name, str | int) for name in names):
            raise _RefusedError("a dictionary whose keys are no names")
        target.update(zip(names, items[1::2], strict=True))

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise _RefusedError("an appended value without a list")
        self.stack[-1].extend(items)

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("an instruction without its arguments")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def put(self, index: Any) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]


_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT")
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_PUSHES: Final = frozenset((*_NUMBERS, *_STRINGS, *_BYTES))
_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_ACTIONS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "GLOBAL": _Machine.mention,
    "STACK_GLOBAL": _Machine.mention_from_stack,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "PUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "GET": lambda machine, index: machine.push(machine.memo[index]),
}
