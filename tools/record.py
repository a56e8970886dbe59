"""Record a golden pair: known inputs, and what the code of another toolkit gives for them.

It runs in the environment of that toolkit, which needs Python 3.8 or newer and numpy, and no Marey:

    python tools/record.py network torchvision.models.video:r3d_18 --run small=1x3x16x112x112 --toolkit "torchvision 0.28.0"
        --calibrate 4x3x8x64x64 --out tests/golden/networks/torchvision/r3d_18

`package.module:name` is a function, which may be in a module of the current folder. docs/how-to/record-a-golden-pair.md says
what it takes and gives.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import math
import re
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if __package__:
    from tools.golden_pairs import LAYOUTS, RecordingError, record_network, record_pixels, record_sampling
else:  # run as a script, in the environment of another toolkit
    from golden_pairs import LAYOUTS, RecordingError, record_network, record_pixels, record_sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLIP_SEED = 1234
"""The seed of clips whose option names none."""


def function_named(name: str) -> Callable[..., object]:
    """The function that `package.module:name` names; modules of the current folder are found, too."""
    if not re.match(r"\w+(\.\w+)*:\w+$", name):
        raise RecordingError(
            f"{name!r}: expected package.module:function, such as pairs:build for pairs.py of this folder"
        )
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise RecordingError(
            f"{name!r}: there is no module {error.name!r}: use the toolkit's environment, and the folder of your own modules"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("__")]
        nearest = difflib.get_close_matches(attribute, functions, cutoff=0)
        like_it = f", but {', '.join(nearest)}" if nearest else ""
        raise RecordingError(f"{name!r}: {module_name} has no function {attribute!r}{like_it}")
    return function


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file."""
    try:
        if zipfile.is_zipfile(path):
            return dict(np.load(path))
    except ValueError:  # it holds Python objects
        pass
    raise RecordingError(f"{path}: expected a file of arrays of numbers; numpy.savez({str(path)!r}, ...) writes one")


def _shape(text: str) -> list[int]:
    sides = [int(side) for side in text.split("x")]
    if min(sides) < 1:
        raise ValueError
    return sides


def _pair(text: str) -> tuple[str, str]:
    name, value = text.rsplit("=", 1)
    return name, value


def _run(text: str) -> tuple[str, tuple[list[int], int]]:
    name, value = _pair(text)
    shape, _, seed = value.partition("@")
    np.random.RandomState(int(seed or CLIP_SEED))  # refuses what is no seed
    return name, (_shape(shape), int(seed or CLIP_SEED))


def _factor(text: str) -> tuple[str, float]:
    word, value = _pair(text)
    re.compile(word)
    if float(value) <= 0:
        raise ValueError
    return word, float(value)


def _power_of_two(text: str) -> tuple[str, float]:
    word, value = _factor(text)
    if math.frexp(value)[0] != 0.5:
        raise ValueError
    return word, value


def _input(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    return name or Path(path).stem, Path(path)


def _unique(pairs: Sequence[tuple[str, object]], option: str) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise RecordingError(f"{option} {name} is given twice: names must differ")
    return dict(pairs)


def _counts(text: str) -> list[int]:
    counts = [int(count) for count in text.split(",")]
    if min(counts) < 1:
        raise ValueError
    return counts


def _add(
    parser: argparse.ArgumentParser, option: str, read: Callable[[str], object], rule: str, **options: object
) -> None:
    """Add an option whose value `read` understands; what it refuses is named together with the rule."""

    def value(text: str) -> object:
        try:
            return read(text)
        except (ValueError, re.error) as error:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {rule}") from error

    parser.add_argument(option, type=value, help=rule, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    several = {"action": "append", "default": []}
    network = kinds.add_parser("network", help="logits of a network with drawn weights")
    network.add_argument("build", help="package.module:name of a function that builds it")
    _add(
        network, "--run", _run, "NAME=SHAPE of a drawn clip, such as small=1x3x8x112x112, or NAME=SHAPE@SEED", **several
    )
    network.add_argument("--layout", choices=sorted(layout for layouts in LAYOUTS.values() for layout in layouts))
    network.add_argument("--root", help="name of the dictionary of tensors in the toolkit's checkpoint file")
    _add(network, "--calibrate", _shape, "SHAPE of the clip whose statistics batch norms take, such as 4x3x8x64x64")
    _add(network, "--std", _factor, "REGEX=DEVIATION of weights, above 0, such as pos_embed=0.5", **several)
    _add(network, "--scale", _power_of_two, "REGEX=FACTOR of weights, a power of two, such as head=0.125", **several)
    sampling = kinds.add_parser("sampling", help="indices of frames for videos of many lengths")
    _add(sampling, "--frames", _counts, "lengths of the videos in frames, such as 1,8,63,300", required=True)
    pixels = kinds.add_parser("pixels", help="what becomes of frames before the network")
    for kind in (sampling, pixels):
        _add(kind, "rules", _pair, "NAME=package.module:name of a function", nargs="+")
        kind.add_argument("--seed", type=int, default=0)
    for kind in (network, pixels):
        _add(kind, "--input", _input, "FILE.npz of arrays to call with, or NAME=FILE.npz", **several)
    for kind in (network, sampling, pixels):
        kind.add_argument("--toolkit", required=True, help="name, and version or commit")
        kind.add_argument("--out", type=Path, required=True, help="path of the files without their endings")
        _add(kind, "--note", _pair, "FIELD=TEXT of the description", **several)
    return parser


def _record(options: argparse.Namespace) -> None:
    common = {"toolkit": options.toolkit, "notes": _unique(options.note, "--note")}
    if options.kind != "sampling":
        common["inputs"] = {name: read_arrays(path) for name, path in _unique(options.input, "--input").items()}
    if options.kind == "network":
        runs = _unique(options.run, "--run")
        if not runs and not options.input:
            raise RecordingError("a network needs at least one --run NAME=SHAPE or --input FILE.npz")
        record_network(
            options.out, function_named(options.build), runs=runs, layout=options.layout, root=options.root,
            calibrate=options.calibrate, std=_unique(options.std, "--std"), scale=options.scale, **common,
        )  # fmt: skip
        return
    rules = {name: function_named(rule) for name, rule in _unique(options.rules, "rule").items()}
    if options.kind == "sampling":
        record_sampling(options.out, rules, frames=options.frames, seed=options.seed, **common)
    else:
        record_pixels(options.out, rules, seed=options.seed, **common)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record what the command line names."""
    options = _parser().parse_args(arguments)
    try:
        _record(options)
    except RecordingError as error:
        sys.exit(f"record.py: {error}")


if __name__ == "__main__":
    main()
