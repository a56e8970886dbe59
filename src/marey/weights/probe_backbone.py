"""Fill the backbone of a probe with the weights of another classifier."""

from dataclasses import replace

from torch import Tensor

from marey.base.errors import WeightsError
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport
from marey.models.network import Network
from marey.models.probe.network import Probe


def fill_backbone(probe: Probe, source: Classifier) -> LoadReport:
    """Copy the weights of a loaded classifier, without its head, into a probe's backbone; the probe's head is not changed.

    `source` is a classifier on the same network as the backbone, or a probe on it, whose backbone may have been fine-tuned.

    Raises:
        WeightsError: a tensor is missing, left over or of another shape.
    """
    assert isinstance(source.network, Network) and source.load_report is not None
    report = source.load_report
    given, prefix = _backbone_of(source.network)
    _check_backbone(given, probe.backbone.state_dict(), report.source)
    probe.backbone.load_state_dict(given)
    pairs = [(theirs, ours.removeprefix(prefix)) for theirs, ours in report.renamed if ours.startswith(prefix)]
    copied = tuple((theirs, f"backbone.{ours}") for theirs, ours in pairs if ours in given)
    heads = tuple(theirs for theirs, ours in report.renamed if ours.startswith("head."))
    # A note on a new head of the file's own network does not apply to the probe.
    notes = tuple(note for note in report.notes if "a new head for" not in note)
    return replace(
        report, renamed=copied, dropped=(*report.dropped, *heads), notes=notes, new_head=True, names_assumed=False
    )


def backbone_line(report: LoadReport) -> str:
    """A line for a person to read: what was loaded and what was left out."""
    heads = f", {counted(len(report.dropped), 'tensor')} left out, among them the classifier" if report.dropped else ""
    notes = "".join(f"; {note}" for note in report.unsaid().notes)
    return f"{counted(len(report.renamed), 'tensor')} loaded{heads}{notes}"


def _backbone_of(network: Network) -> tuple[dict[str, Tensor], str]:
    """The tensors of a network's backbone by their names in it, and the prefix of these names in the network."""
    if isinstance(network, Probe):
        return network.backbone.state_dict(), "backbone."
    return {name: value for name, value in network.state_dict().items() if not name.startswith("head.")}, ""


def _check_backbone(theirs: dict[str, Tensor], ours: dict[str, Tensor], source: str) -> None:
    problems = {
        "missing": sorted(ours.keys() - theirs.keys()),
        "left over": sorted(theirs.keys() - ours.keys()),
        "of another shape": [
            f"{name} is {list(theirs[name].shape)}, expected {list(value.shape)}"
            for name, value in ours.items()
            if name in theirs and theirs[name].shape != value.shape
        ],
    }
    lines = [f"{len(names)} {what}: {', '.join(names[:3])}" for what, names in problems.items() if names]
    if lines:
        raise WeightsError(f"{source}: the weights do not fit the backbone: {'; '.join(lines)}.")
