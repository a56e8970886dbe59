"""The network in what a training loop saved: under which dictionaries and prefixes its tensors lie, and which copy of it.

A file's nested dictionaries are read as one flat dictionary of dotted names. A layout's signs are looked for at the end of
each name, at a dot: what comes before is taken off, whatever it is called and however deep it is (`state_dict`, `module.`,
`model.`, `_orig_mod.`, `backbone.`, the attribute of a LightningModule). Where that shows no whole network, the wrappers
that may lie around its parts (`_INNER`) are taken out of the middle of names. Of several networks in a file:

1. one with a classifier comes before one without;
2. networks of equal tensors are one;
3. of an average of the weights (`ema`, `swa`, `averaged` in its prefix) and the weights of the last step, the average is
   taken, as timm loads it and OpenTAD tests it; but where a toolkit saves the average as `state_dict`, that is taken:
   MMEngine, with the last step's weights in `ema_state_dict` after `module.` (mmengine/hooks/ema_hook.py), and Lightning,
   with them in `current_model_state` (lightning/pytorch/callbacks/weight_averaging.py);
4. others are refused, and the message names them.

MMCV's EMAHook keeps its copies in the network's own dictionary, as buffers `ema_backbone_conv1_weight`; after an epoch
they have the weights of the last step, and the plain names the average (mmcv/runner/hooks/ema.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from pydantic import ValidationError
from torch import Tensor

from marey.base.errors import WeightsError
from marey.base.words import counted
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.resnet import Variant

_TRUNK = "backbone."
"""What MMAction's layouts put before the trunk; a trunk that was saved alone lacks it."""
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|avg|averaged?|shadow)(?=[._\d]|$)", re.IGNORECASE)
_LAST_STEP = {"ema_state_dict.module.": "MMEngine", "current_model_state.": "Lightning"}
"""Where toolkits that save the average as `state_dict` have the weights of the last step."""
_INNER = re.compile(r"(?<=\.)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
"""Wrappers of a part of a network, in the middle of its names: DataParallel's, torch.compile's, FSDP's, DeepSpeed's."""
_DEEPEST = 8
"""Dictionaries in one another that are looked into: a file may have one that holds itself."""
_STATES = (
    "optimizer", "optimizer_state", "optimizer_states", "optimizer_state_dict", "scaler_state", "scaler", "lr_scheduler",
    "lr_schedulers", "scheduler", "scheduler_state_dict", "amp_scaler",
)  # fmt: skip
"""What training loops keep beside the network; numbers that loading has no use for."""


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of one network by the names that a layout has for them."""

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...] = ()
    """Other parts of the file, with the number of tensors in each."""
    notes: tuple[str, ...] = ()
    """Which prefix was taken off."""
    choices: tuple[str, ...] = ()
    """Which of several copies of the network was taken, and which was not."""


@dataclass(frozen=True)
class _Candidate:
    """A network that a file may hold: the tensors whose names begin with `prefix`."""

    prefix: str
    lacks_trunk: bool
    """Whether `backbone.` is missing before the names of its trunk."""
    rank: int
    """0: whole; 1: without a classifier; 2: of a layout that we read, but no network that shapes tell."""
    tensors: dict[str, Tensor]

    @property
    def averaged(self) -> bool:
        return _AVERAGED.search(self.prefix.rstrip(".")) is not None

    def __str__(self) -> str:
        return f"{self.prefix.rstrip('.') or 'the plain names'} ({counted(len(self.tensors), 'tensor')})"


def unwrap(content: Mapping[object, object], path: Path) -> Unwrapped:
    """The network in the content of a checkpoint file: a dictionary of tensors, or of dictionaries.

    Where no layout's sign is found, the tensors of `state_dict` (or of the whole file) are given as they are called.

    Raises:
        WeightsError: there are several networks, and nothing says which one is wanted.
    """
    flat, roots = _flattened(content)
    states = tuple(str(name) for name in content if str(name) in _STATES)
    flat = {name: tensor for name, tensor in flat.items() if name.partition(".")[0] not in states}
    flat, candidates, notes = _searched(flat)
    if not candidates:
        return Unwrapped(_plain(flat, roots), states)
    chosen, others = _chosen(candidates, path)
    tensors, choices = dict(chosen.tensors), []
    for other in others:
        toolkit = _saves_average(chosen, other)
        if _equal(chosen.tensors, other.tensors):
            choices.append(f"{chosen} is taken, and {other} is left out, which has equal tensors")
        elif toolkit is not None:
            choices.append(
                f"{chosen} is taken, in which {toolkit} saves the average of the weights, and {other}, those of the last "
                "step, is left out"
            )
        else:
            filled = {name: tensor for name, tensor in other.tensors.items() if name not in tensors}
            tensors |= filled
            also = f" but for {counted(len(filled), 'tensor')} that the average lacks" if filled else ""
            choices.append(f"{chosen} is taken, the average of the weights, and {other} is left out{also}")
    copies = _copies_of_mmcv(tensors)
    for name in copies:
        del tensors[name]
    if copies:
        choices.append(
            f"{counted(len(copies), 'tensor')} ema_... are left out: after an epoch MMCV's EMAHook has the weights of the "
            "last step "
            "there, and their average under the plain names, which are taken"
        )
    under = {name for name in flat if name.startswith(chosen.prefix)}
    left = _kinds([name for name in flat if name not in under], _root_of(chosen.prefix, roots))
    copied = (f"ema_* ({counted(len(copies), 'tensor')})",) if copies else ()
    taken_off = chosen.prefix.removeprefix(_root_of(chosen.prefix, roots))
    if taken_off:
        notes.append(f"the prefix {taken_off} was taken off the names of its tensors")
    if chosen.lacks_trunk:
        notes.append(f"its names were read as those of a trunk, with {_TRUNK} before them")
    return Unwrapped(tensors, (*states, *left, *copied), tuple(notes), tuple(choices))


def _searched(flat: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[_Candidate], list[str]]:
    """The tensors, their wrapped parts unwrapped where only that shows a whole network; the networks; and a note on it."""
    found = _outermost(_candidates(flat), len(flat))
    inner = {name: _INNER.sub("", name) for name in flat}
    unwrapped = {inner[name]: tensor for name, tensor in flat.items()}
    if (found and found[0].rank == 0) or len(unwrapped) < len(flat) or unwrapped.keys() == flat.keys():
        return flat, found, []
    better = _outermost(_candidates(unwrapped), len(unwrapped))
    if not better or (found and found[0].rank <= better[0].rank):
        return flat, found, []
    count = sum(name != plain for name, plain in inner.items())
    return (
        unwrapped,
        better,
        [f"wrappers inside the names of {counted(count, 'tensor')} were taken out (such as _orig_mod., module.)"],
    )


def variant_in(tensors: dict[str, Tensor], layout: ModuleType) -> Variant | None:
    """The network that shapes tell, also of a file without a classifier, whose number of classes then means nothing.

    Raises:
        ValidationError: sizes that no network has.
    """
    found: Variant | None = layout.variant_of(tensors)
    if found is not None or has_classifier(tensors, layout):
        return found
    trials = (layout.variant_of(tensors | {head: torch.zeros(1, 1)}) for head in layout.HEADS)
    return next((trial for trial in trials if trial is not None and _has_most_of(trial, tensors, layout)), None)


def _has_most_of(variant: Variant, tensors: dict[str, Tensor], layout: ModuleType) -> bool:
    """Whether a file has most tensors of a network that its first ones show."""
    with torch.device("meta"):
        network = variant.config.build()
    names = [theirs for theirs, _ in layout.pairs(network)]
    return 2 * sum(name in tensors for name in names) > len(names)


def has_classifier(tensors: Mapping[str, Tensor], layout: ModuleType) -> bool:
    """Whether a file in this layout holds the classifier's weight."""
    plain = layout.plain(tensors) if hasattr(layout, "plain") else tensors
    return any(head in plain for head in layout.HEADS)


def _flattened(content: Mapping[object, object], above: str = "") -> tuple[dict[str, Tensor], set[str]]:
    """All tensors in nested dictionaries by dotted names, and what the names of tensors of each dictionary begin with."""
    flat: dict[str, Tensor] = {}
    roots: set[str] = set()
    for name, value in content.items():
        if isinstance(value, Tensor):
            flat[f"{above}{name}"] = value
            roots.add(above)
        elif isinstance(value, Mapping) and above.count(".") < _DEEPEST:
            inside, below = _flattened(value, f"{above}{name}.")
            flat |= inside
            roots |= below
    return flat, roots


def _root_of(prefix: str, roots: set[str]) -> str:
    """The dictionary in which a prefix lies, as names begin there."""
    return max((root for root in roots if prefix.startswith(root)), key=len, default="")


def _plain(flat: dict[str, Tensor], roots: set[str]) -> dict[str, Tensor]:
    """The tensors of the file's one dictionary of tensors, or those of its `state_dict`, without `module.`."""
    root = next(iter(roots)) if len(roots) == 1 else next((one for one in sorted(roots) if "state_dict" in one), "")
    inside = (name for name in flat if name.startswith(root))
    return {name.removeprefix(root).removeprefix("module."): flat[name] for name in inside}


def _candidates(flat: dict[str, Tensor]) -> list[_Candidate]:
    """Every network that a layout's signs show, the best one for each prefix."""
    found: dict[str, _Candidate] = {}
    for layout in LAYOUTS:
        for sign in layout.SIGNS:
            for lacks_trunk in (False, True) if sign.startswith(_TRUNK) else (False,):
                ending = sign.removeprefix(_TRUNK) if lacks_trunk else sign
                prefixes = [name.removesuffix(ending) for name in flat if name.endswith(ending)]
                for prefix in prefixes:
                    if prefix and not prefix.endswith("."):
                        continue
                    if lacks_trunk and prefix.endswith(_TRUNK):
                        continue  # it is a trunk's name already
                    made = _candidate(flat, prefix, layout, lacks_trunk=lacks_trunk)
                    if prefix not in found or _order(made) < _order(found[prefix]):
                        found[prefix] = made
    return list(found.values())


def _order(candidate: _Candidate) -> tuple[int, bool, str]:
    return candidate.rank, candidate.lacks_trunk, candidate.prefix


def _candidate(flat: dict[str, Tensor], prefix: str, layout: ModuleType, *, lacks_trunk: bool) -> _Candidate:
    above = _TRUNK if lacks_trunk else ""
    tensors = {above + name.removeprefix(prefix): t for name, t in flat.items() if name.startswith(prefix)}
    try:
        known = variant_in(tensors, layout) is not None
    except ValidationError:
        known = False
    rank = 2 if not known else 0 if has_classifier(tensors, layout) else 1
    return _Candidate(prefix, lacks_trunk, rank, tensors)


def _outermost(candidates: Sequence[_Candidate], total: int) -> list[_Candidate]:
    """Those of the best rank, less those that lie in another one: a pathway of SlowFast looks like a network itself.

    `total` is the number of tensors in the file.
    """
    best = min((one.rank for one in candidates), default=0)
    kept = [one for one in candidates if one.rank == best and not (best == 2 and one.lacks_trunk)]
    outer = [one for one in kept if not any(o is not one and one.prefix.startswith(o.prefix) for o in kept)]
    if best == 2:  # shapes show no network: the one that most of the file belongs to, if any
        return [one for one in outer if 2 * len(one.tensors) > total]
    return sorted(outer, key=lambda one: (len(one.prefix), one.prefix))


def _chosen(candidates: Sequence[_Candidate], path: Path) -> tuple[_Candidate, list[_Candidate]]:
    """The network to take, and those that are left out.

    Raises:
        WeightsError: by no rule of this module one of them comes first.
    """
    first, *others = candidates
    if all(_equal(first.tensors, other.tensors) for other in others):
        return first, others
    averages = [one for one in candidates if one.averaged]
    plain = [one for one in candidates if not one.averaged]
    if len(candidates) == 2:
        for one, other in ((first, others[0]), (others[0], first)):
            if _saves_average(one, other) is not None:
                return one, [other]
    if len(averages) == len(plain) == 1:
        return averages[0], plain
    raise WeightsError(
        f"{path}: holds {len(candidates)} networks, {' and '.join(map(str, candidates))}, and nothing says which one is "
        f"meant: save that one in a file of its own, its names without what comes before ({first.prefix})."
    )


def _saves_average(one: _Candidate, other: _Candidate) -> str | None:
    """The toolkit whose average is `one`, beside the weights of the last step in `other`; None: no toolkit's."""
    toolkits = (toolkit for root, toolkit in _LAST_STEP.items() if other.prefix.startswith(root))
    return next(toolkits, None) if one.prefix.startswith("state_dict.") else None


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    # A small file can name a tensor of any size whose values all lie in one place: those are not compared.
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape
        and all(_is_stored(each) for each in (tensor, other[name]))
        and torch.equal(tensor, other[name])
        for name, tensor in one.items()
    )


def _is_stored(tensor: Tensor) -> bool:
    """Whether every value of a tensor has memory of its own, in whatever order."""
    strided = tensor.layout == torch.strided and tensor.is_cpu
    return strided and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _copies_of_mmcv(tensors: Mapping[str, Tensor]) -> list[str]:
    """The buffers of MMCV's EMAHook: `ema_` and a parameter's name, its dots as underscores."""
    buffers = {"ema_" + name.replace(".", "_") for name in tensors}
    return [name for name in tensors if name in buffers]


def _kinds(names: Sequence[str], root: str) -> list[str]:
    """What was left out, by the first word of each name: in the network's own dictionary, or of the whole file."""
    counts: dict[str, int] = {}
    for name in names:
        kind = name.removeprefix(root).partition(".")[0] if root else name.partition(".")[0]
        counts[kind] = counts.get(kind, 0) + 1
    return [f"{kind} ({counted(count, 'tensor')})" for kind, count in counts.items()]
