"""Carry the weights of a trunk over to another network: inflated in time, or averaged over input channels.

Inflation is that of Carreira and Zisserman (I3D, CVPR 2017, section 2.4.1): a 2D kernel is repeated along time and divided
by its length. A clip of one repeated frame then has the same output as the frame, except near the clip's ends, where
temporal kernels include zeros from the padding; without temporal kernels all outputs are equal. Weights of new input
channels are the mean over the old ones (Wang et al., TSN, ECCV 2016, section 3.2, "cross-modality").
"""

import torch
from torch import Tensor, nn

from marey.base.errors import WeightsError
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport
from marey.models.layers.trunk import Trunk
from marey.models.network import Network
from marey.models.probe.network import Probe


def carry_over(source: Classifier, target: Network, name: str) -> LoadReport:
    """Copy the trunk of `source`, a loaded classifier, into `target`, inflated or averaged where its shapes differ.

    In SlowFast each pathway that is as wide as `source` gets the weights. Weights for channels that come from lateral
    connections are set to zero, so that the slow pathway starts as the 2D network. Layers that `source` lacks (laterals,
    non-local blocks, the head) are not changed.

    Args:
        name: Name of the target in errors.

    Raises:
        WeightsError: no trunk of `target` has the layers of `source`.
    """
    assert isinstance(source.network, Network) and source.load_report is not None
    report = source.load_report
    given, trunks = _first_trunk(source.network), _trunks(target)
    ours = {
        pathway: trunk
        for pathway, trunk in trunks.items()
        if len(trunks) == 1 or _stem_width(trunk) == _stem_width(given)
    }
    renamed: list[tuple[str, str]] = []
    notes: list[str] = []
    problem = "" if ours else f"no pathway has a stem of {counted(_stem_width(given), 'channel')}"
    for pathway, trunk in ours.items():
        fitted, problem = _fitted_shapes(given.state_dict(), trunk.state_dict())
        if problem:
            break
        trunk.load_state_dict(fitted, strict=False)
        renamed += [(key, f"{pathway}.{key}") for key in fitted]
        notes += _describe_changes(given.state_dict(), fitted, pathway)
    if problem:
        raise WeightsError(
            f"{name} cannot start from {report.source}: {problem}. R(2+1)D and CSN start from ig65m, other "
            "networks from a ResNet of the same depth and width."
        )
    notes += [f"{pathway} starts from random weights" for pathway in trunks if pathway not in ours]
    return LoadReport(report.source, report.layout, tuple(renamed), ("the head",), tuple(notes))


def _fitted_shapes(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The tensors `theirs` in the shapes of `ours`, and what does not fit; empty if all fits."""
    # A pretrained trunk may lack non-local blocks, and nothing else.
    wanted = {name: value for name, value in ours.items() if ".after." not in name}
    missing, left = sorted(wanted.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if missing or left:
        return {}, f"it has no {missing[0]}" if missing else f"this network has no {left[0]}"
    fitted = {
        name: _reshape(theirs[name], value.shape, first=name.startswith("stem")) for name, value in wanted.items()
    }
    wrong = [name for name, value in fitted.items() if value.shape != wanted[name].shape]
    if wrong:
        return {}, f"its {wrong[0]} is {list(theirs[wrong[0]].shape)}, ours {list(wanted[wrong[0]].shape)}"
    return fitted, ""


def _reshape(theirs: Tensor, shape: torch.Size, *, first: bool) -> Tensor:
    """A kernel inflated to `shape`; in the `first` layer averaged over its input channels, in others padded with zeros."""
    if theirs.ndim == 4 and len(shape) == 5:
        length = shape[2]
        theirs = theirs[:, :, None].repeat(1, 1, length, 1, 1) / length
    if theirs.ndim < 4 or theirs.ndim != len(shape) or theirs.shape[1] == shape[1]:
        return theirs
    if first:
        return theirs.mean(dim=1, keepdim=True).expand(-1, shape[1], *theirs.shape[2:])
    if theirs.shape[1] < shape[1]:
        lateral = theirs.new_zeros(theirs.shape[0], shape[1] - theirs.shape[1], *theirs.shape[2:])
        return torch.cat([theirs, lateral], dim=1)
    return theirs


def _describe_changes(theirs: dict[str, Tensor], fitted: dict[str, Tensor], trunk: str) -> list[str]:
    """Notes on how the weights were changed to fit."""
    stem = next(name for name, value in fitted.items() if value.ndim >= 4)
    notes = []
    if theirs[stem].ndim < fitted[stem].ndim:
        notes.append(f"{trunk}: 2D kernels repeated along time and divided by their length")
    if theirs[stem].shape[1] != fitted[stem].shape[1]:
        notes.append(
            f"{trunk}: the mean over {theirs[stem].shape[1]} input channels for each of {fitted[stem].shape[1]}"
        )
    return notes


def _trunks(network: Network) -> dict[str, nn.Module]:
    """The trunks of a network, or of a probe's backbone, by their names; in SlowFast the slow one comes first."""
    holder, prefix = (network.backbone, "backbone.") if isinstance(network, Probe) else (network, "")
    return {f"{prefix}{name}": child for name, child in holder.named_children() if isinstance(child, Trunk)}


def _first_trunk(network: Network) -> nn.Module:
    """The trunk to start from: in SlowFast the slow one.

    Raises:
        WeightsError: the network has no trunk.
    """
    for trunk in _trunks(network).values():
        return trunk
    raise WeightsError(
        f"{type(network).__name__} has no trunk (a stem and stages) that another network could start from."
    )


def _stem_width(trunk: nn.Module) -> int:
    """Number of output channels of the stem."""
    return next(iter(trunk.parameters())).shape[0]
