"""Find the network in a training loop's checkpoint: remove dictionaries and prefixes around it, choose among several copies.

A file's nested dictionaries are read as one flat dictionary of dotted names. A layout is recognised by the keys of its
signature, alone or after a common prefix that ends in a dot. This prefix is removed, whatever it is called and however
deep it is (`state_dict`, `module.`, `model.`, `_orig_mod.`, `backbone.`, the attribute of a LightningModule). If that
shows no complete network, wrappers of single modules (`_INNER`) are removed from the middle of names. If a file has
several networks:

1. one with a head is preferred to one without;
2. if all networks have equal tensors, the one with the shortest prefix is used;
3. if one is an average of the weights (`ema`, `swa`, `averaged` in its prefix) and one has the weights of the last step, the
   average is used, as timm loads it and OpenTAD tests it. Two toolkits save the average as `state_dict`, which is then used,
   and the last step's weights elsewhere: MMEngine in `ema_state_dict`, after `module.` (mmengine/hooks/ema_hook.py),
   Lightning in `current_model_state` (lightning/pytorch/callbacks/weight_averaging.py);
4. other combinations are refused with a message that names them.

MMCV's EMAHook stores copies in the network's own dictionary, as buffers `ema_backbone_conv1_weight`. After an epoch these
have the weights of the last step, and the plain names have the average (mmcv/runner/hooks/ema.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from marey.base.errors import WeightsError
from marey.base.words import counted
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.layout import KeySignature, Layout

_TRUNK = "backbone."
"""Prefix of the trunk's names in MMAction's layouts. Files with only a trunk have names without it."""
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|avg|averaged?|shadow)(?=[._\d]|$)", re.IGNORECASE)
_LAST_STEP = {"ema_state_dict.module.": "MMEngine", "current_model_state.": "Lightning"}
"""Prefix of the last step's weights, for toolkits that save the average as `state_dict`."""
_INNER = re.compile(r"(?<=\.)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
"""Wrappers of modules inside a network, in the middle of its names: of DataParallel, torch.compile, FSDP, DeepSpeed."""
_MAX_DEPTH = 8
"""Nested dictionaries are read to this depth: a file may have one that contains itself."""
_STATES = (
    "optimizer", "optimizer_state", "optimizer_states", "optimizer_state_dict", "scaler_state", "scaler", "lr_scheduler",
    "lr_schedulers", "scheduler", "scheduler_state_dict", "amp_scaler",
)  # fmt: skip
"""Names under which training loops save their own state, which loading leaves out."""


@dataclass(frozen=True)
class Contents:
    """The network in a checkpoint file of another toolkit."""

    tensors: dict[str, Tensor]
    """Tensors of the network by their names in its layout, without the prefixes of a training loop."""
    left_out: tuple[str, ...] = ()
    """What does not belong to the network: the state of an optimiser, another copy of the weights; () for nothing."""
    notes: tuple[str, ...] = ()
    """What was assumed while reading, and which prefix was removed; () for nothing."""
    choices: tuple[str, ...] = ()
    """Which of several copies of the weights is used, which is printed whenever the file is loaded; () if there is one
    copy."""


@dataclass(frozen=True)
class _Candidate:
    """A possible network in a file: the tensors whose names begin with `prefix`."""

    prefix: str
    """The prefix of the tensors' names; "" for all tensors."""
    lacks_trunk: bool
    """Whether `backbone.` is missing before the names of its trunk."""
    rank: int
    """How well it fits. 0: complete; 1: without a head; 2: in a known layout, but of a network that Marey does not
    have."""
    tensors: dict[str, Tensor]
    """The tensors by their names without the prefix."""

    @property
    def averaged(self) -> bool:
        return _AVERAGED.search(self.prefix.rstrip(".")) is not None

    def __str__(self) -> str:
        return f"{self.prefix.rstrip('.') or 'the plain names'} ({counted(len(self.tensors), 'tensor')})"


def unwrap(content: Mapping[object, object], path: Path) -> Contents:
    """The network in the content of a checkpoint file: a dictionary of tensors, or of dictionaries.

    If no layout's signature is found, the tensors of `state_dict` (or of the entire file) are returned by their own names.

    Raises:
        WeightsError: there are several networks, and no rule chooses one of them.
    """
    flat, roots = _flattened(content)
    states = tuple(str(name) for name in content if str(name) in _STATES)
    flat = {name: tensor for name, tensor in flat.items() if name.partition(".")[0] not in states}
    flat, candidates, notes = _find_networks(flat)
    if not candidates:
        return Contents(_tensors_alone(flat, roots), states)
    chosen, others = _choose(candidates, path)
    tensors, choices = dict(chosen.tensors), []
    for other in others:
        toolkit = _saves_average(chosen, other)
        if _equal(chosen.tensors, other.tensors):
            choices.append(f"{chosen} is used; {other} has equal tensors and is left out")
        elif toolkit is not None:
            choices.append(
                f"{chosen} is used, in which {toolkit} saves the average of the weights; {other} has those of the last step "
                "and is left out"
            )
        else:
            filled = {name: tensor for name, tensor in other.tensors.items() if name not in tensors}
            tensors |= filled
            also = f" except for {counted(len(filled), 'tensor')} that the average lacks" if filled else ""
            choices.append(f"{chosen} is used, the average of the weights; {other} is left out{also}")
    copies = _copies_of_mmcv(tensors)
    for name in copies:
        del tensors[name]
    if copies:
        choices.append(
            f"{counted(len(copies), 'tensor')} ema_... are left out: after an epoch MMCV's EMAHook has the weights of the "
            "last step there, and the average under the plain names, which are used"
        )
    others_names = [name for name in flat if not name.startswith(chosen.prefix)]
    left_out = _count_by_first_word(others_names, _longest_root(chosen.prefix, roots))
    mmcv = (f"ema_* ({counted(len(copies), 'tensor')})",) if copies else ()
    removed = chosen.prefix.removeprefix(_longest_root(chosen.prefix, roots))
    if removed:
        notes.append(f"the prefix {removed} was removed from the names of its tensors")
    if chosen.lacks_trunk:
        notes.append(f"its names were read as those of a trunk, with {_TRUNK} added before them")
    return Contents(tensors, (*states, *left_out, *mmcv), tuple(notes), tuple(choices))


def _find_networks(flat: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[_Candidate], list[str]]:
    """The tensors, the networks in them, and notes. Wrappers inside names are removed if only that completes a network."""
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
        [f"wrappers inside the names of {counted(count, 'tensor')} were removed (such as _orig_mod., module.)"],
    )


def _flattened(content: Mapping[object, object], above: str = "") -> tuple[dict[str, Tensor], set[str]]:
    """All tensors in nested dictionaries by dotted names, and the prefix of the names in each dictionary with tensors."""
    flat: dict[str, Tensor] = {}
    roots: set[str] = set()
    for name, value in content.items():
        if isinstance(value, Tensor):
            flat[f"{above}{name}"] = value
            roots.add(above)
        elif isinstance(value, Mapping) and above.count(".") < _MAX_DEPTH:
            inside, below = _flattened(value, f"{above}{name}.")
            flat |= inside
            roots |= below
    return flat, roots


def _longest_root(prefix: str, roots: set[str]) -> str:
    """The longest of `roots`, the prefixes of the file's dictionaries, that `prefix` begins with; empty if none."""
    return max((root for root in roots if prefix.startswith(root)), key=len, default="")


def _tensors_alone(flat: dict[str, Tensor], roots: set[str]) -> dict[str, Tensor]:
    """The tensors of the file's one dictionary of tensors, or those of its `state_dict`, without `module.`."""
    root = next(iter(roots)) if len(roots) == 1 else next((one for one in sorted(roots) if "state_dict" in one), "")
    inside = (name for name in flat if name.startswith(root))
    return {name.removeprefix(root).removeprefix("module."): flat[name] for name in inside}


def _candidates(flat: dict[str, Tensor]) -> list[_Candidate]:
    """Every network that a layout's signatures find, the best one for each prefix."""
    found: dict[str, _Candidate] = {}
    for layout in LAYOUTS:
        for signature in layout.signatures:
            bare = signature.without(_TRUNK)
            for lacks_trunk in (False, True) if bare != signature else (False,):
                for prefix in _prefixes(flat, bare if lacks_trunk else signature):
                    if lacks_trunk and prefix.endswith(_TRUNK):
                        continue  # the prefix already names the trunk
                    candidate = _candidate(flat, prefix, layout, lacks_trunk=lacks_trunk)
                    if prefix not in found or _order(candidate) < _order(found[prefix]):
                        found[prefix] = candidate
    return list(found.values())


def _prefixes(flat: Mapping[str, Tensor], signature: KeySignature) -> list[str]:
    """The prefixes before the keys of a signature wherever it is found: empty, or ending in a dot."""
    first = signature.keys[0]
    prefixes = (name.removesuffix(first) for name in flat if name.endswith(first))
    return [one for one in prefixes if (not one or one.endswith(".")) and signature.matches(flat, one)]


def _order(candidate: _Candidate) -> tuple[int, bool, str]:
    return candidate.rank, candidate.lacks_trunk, candidate.prefix


def _candidate(flat: dict[str, Tensor], prefix: str, layout: Layout, *, lacks_trunk: bool) -> _Candidate:
    above = _TRUNK if lacks_trunk else ""
    tensors = {above + name.removeprefix(prefix): t for name, t in flat.items() if name.startswith(prefix)}
    try:
        known = layout.infer(tensors) is not None
    except ValidationError:
        known = False
    rank = 2 if not known else 0 if layout.has_classifier(tensors) else 1
    return _Candidate(prefix, lacks_trunk, rank, tensors)


def _outermost(candidates: Sequence[_Candidate], total: int) -> list[_Candidate]:
    """Candidates of the best rank that are not inside another one: a pathway of SlowFast looks like a network, too.

    `total` is the number of tensors in the file.
    """
    best = min((one.rank for one in candidates), default=0)
    ranked = [one for one in candidates if one.rank == best and not (best == 2 and one.lacks_trunk)]
    outer = [one for one in ranked if not any(o is not one and one.prefix.startswith(o.prefix) for o in ranked)]
    if best == 2:  # no network was inferred: only a candidate with more than half of the file's tensors
        return [one for one in outer if 2 * len(one.tensors) > total]
    return sorted(outer, key=lambda one: (len(one.prefix), one.prefix))


def _choose(candidates: Sequence[_Candidate], path: Path) -> tuple[_Candidate, list[_Candidate]]:
    """The network to use, and those that are left out.

    Raises:
        WeightsError: no rule of this module prefers one of them.
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
        f"{path}: holds {len(candidates)} networks, {' and '.join(map(str, candidates))}, and nothing shows which one is "
        f"meant: save that one in a separate file, without the prefix of its names ({first.prefix})."
    )


def _saves_average(one: _Candidate, other: _Candidate) -> str | None:
    """The toolkit that saves its average as `one` and the last step's weights as `other`; None if no toolkit does."""
    toolkits = (toolkit for root, toolkit in _LAST_STEP.items() if other.prefix.startswith(root))
    return next(toolkits, None) if one.prefix.startswith("state_dict.") else None


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    # A small file can declare a tensor of any size whose values share one element's memory: those are not compared.
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape
        and all(_is_stored(each) for each in (tensor, other[name]))
        and torch.equal(tensor, other[name])
        for name, tensor in one.items()
    )


def _is_stored(tensor: Tensor) -> bool:
    """Whether a tensor's memory is large enough for all of its values, in whatever order they are stored."""
    strided = tensor.layout == torch.strided and tensor.is_cpu
    return strided and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _copies_of_mmcv(tensors: Mapping[str, Tensor]) -> list[str]:
    """The buffers of MMCV's EMAHook: named `ema_` and a parameter's name with underscores for dots."""
    buffers = {"ema_" + name.replace(".", "_") for name in tensors}
    return [name for name in tensors if name in buffers]


def _count_by_first_word(names: Sequence[str], root: str) -> list[str]:
    """The tensors that were left out, counted by the first word of their names in the dictionary `root` of the network."""
    counts: dict[str, int] = {}
    for name in names:
        word = name.removeprefix(root).partition(".")[0] if root else name.partition(".")[0]
        counts[word] = counts.get(word, 0) + 1
    return [f"{word} ({counted(count, 'tensor')})" for word, count in counts.items()]
