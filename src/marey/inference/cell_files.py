"""Cells of videos as files in the cache: one for each video or part, known again by content, backbone and rules."""

import contextlib
import hashlib
import shutil
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.kept import cache_limit, features_folder, mark_used, prune
from marey.base.errors import RecipeError
from marey.base.files import atomic_path
from marey.base.jsonable import json_text
from marey.base.precision import Arithmetic
from marey.base.reporter import notice
from marey.classifier import Classifier
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.probe.network import GRID, PLACES, Probe

_FORMAT = 1
"""Of the files, and of how cells are computed: raised whenever either changes, so that older files are not read."""
_DAMAGED = (ValueError, KeyError, EOFError, zipfile.BadZipFile)
"""What NumPy raises of a file that is cut off, or whose checksum is wrong."""


def probe_of(model: Classifier) -> tuple[Probe, FrameProbeConfig | ClipProbeConfig]:
    """The network of a classifier that is a probe, and its settings.

    Raises:
        RecipeError: it is another network.
    """
    network, config = model.network, model.recipe.model
    if isinstance(network, Probe) and isinstance(config, FrameProbeConfig | ClipProbeConfig):
        return network, config
    raise RecipeError(
        f"{model.recipe.name}: its network is no probe, whose cells could be kept: see marey.recipes.probe."
    )


def cells_folder(model: Classifier, arithmetic: Arithmetic) -> Path:
    """Where the cells of a probe's backbone are kept: a folder for all that they depend on besides the video, which is not
    the pooling, the head or the names of the classes.
    """
    probe, config = probe_of(model)
    recipe = model.recipe
    settings = {
        "format": _FORMAT,
        "network": config.network,
        "grid": [GRID, PLACES],
        "backbone": config.backbone.model_dump(mode="json", exclude={"num_classes"}),
        "weights": weights_digest(probe.backbone),
        "sampling": recipe.test.sampling.model_dump(mode="json"),
        "crops": [recipe.test.crops, recipe.test.size],
        "pixels": recipe.pixels.model_dump(mode="json"),
        "flow": None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
        "arithmetic": arithmetic,
    }
    return features_folder(hashlib.sha256(json_text(settings).encode()).hexdigest()[:32])


def weights_digest(backbone: torch.nn.Module) -> str:
    """SHA-256 over names and values of the tensors by which a frozen network answers, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        if not name.endswith("num_batches_tracked"):  # a counter of training
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class CellFiles:
    """The cells of some videos by one network: a file in the cache for each, by the identity of its content.

    The cache keeps what this process still needs, however old it is. Where that is more than the limit, or nothing can be
    written there, the rest lies in a temporary folder, which goes with this object. Threads may write at the same time.

    Args:
        folder: As `cells_folder` gives it.

    Raises:
        RunError: MAREY_CACHE_LIMIT is no size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._limit = folder, cache_limit()
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        """What this process needs of the cache, and the bytes of each file, which count once however often it is written."""
        self._size = 0
        """Their sum."""
        self._beyond: set[int] = set()
        """Identities of those in the temporary folder."""
        self._full = False

    def hold(self, identities: Iterable[int]) -> frozenset[int]:
        """Which of them are there already: these are not removed any more by this process, and by others last."""
        found = set()
        for identity in identities:
            path = self._path(identity)
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                if not zipfile.is_zipfile(path):  # it looks at the end alone: checksums are compared when it is read
                    notice(f"{path}: is damaged, and computed anew")
                    continue
                mark_used(path)
                found.add(identity)
                self._count(path, size)
        return frozenset(found)

    def __contains__(self, identity: int) -> bool:
        return self._path(identity).exists()

    def read(self, identity: int) -> NDArray[np.float16] | None:
        """Cells [V, S, P, G, G, D], V views in the order of the protocol; None where there are none, or they are damaged."""
        path = self._path(identity)
        try:
            with np.load(path, allow_pickle=False) as file:
                cells: NDArray[np.float16] = file["cells"][file["places"]]
        except OSError:
            return None
        except _DAMAGED:
            notice(f"{path}: is damaged, and computed anew")
            return None
        return cells

    def write(self, identity: int, cells: NDArray[np.float16], places: NDArray[np.int64]) -> None:
        """Keep cells [U, S, P, G, G, D] of the views that differ, and for each view of the protocol its place there.

        Raises:
            OSError: no room is left in the temporary folder either.
        """
        path = self.folder / _name(identity)
        if self._taken(path, cells.nbytes + places.nbytes):
            try:
                _write(path, cells, places)
                return
            except OSError as error:
                with self._lock:
                    self._count(path, 0)
                self._leave(f"{self.folder.parent}: nothing can be kept there ({error.strerror})")
        with self._lock:
            self._beyond.add(identity)
        _write(self._temporary / _name(identity), cells, places)

    def tidy(self) -> None:
        """Remove from the cache what was used longest ago, until it is within its limit; nothing that is needed here."""
        prune(self.folder, spared=self._sizes)

    def _path(self, identity: int) -> Path:
        folder = self._temporary if identity in self._beyond else self.folder
        return folder / _name(identity)

    @cached_property
    def _temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="marey-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _taken(self, path: Path, size: int) -> bool:
        """Whether the cache has room for a file, for which it is then taken; one that was there before, and is written anew
        since it was damaged or removed, takes the place of the former.
        """
        with self._lock:
            fits = not self._full and self._size - self._sizes.get(path, 0) + size <= self._limit
            if fits:
                self._count(path, size)
        if not fits:
            self._leave(f"MAREY_CACHE_LIMIT: {self._limit / 1e9:g} GB are less than the features of these videos take")
        return fits

    def _count(self, path: Path, size: int) -> None:
        self._size += size - self._sizes.get(path, 0)
        self._sizes[path] = size

    def _leave(self, why: str) -> None:
        """Put nothing more into the cache, and say so once."""
        with self._lock:
            first, self._full = not self._full, True
            self._temporary  # noqa: B018 - made by one of the threads
        if first:
            notice(
                f"{why}: the rest lies in {self._temporary.name} until this process ends, and is computed again next time"
            )


def _name(identity: int) -> str:
    return f"{identity:016x}.npz"


def _write(path: Path, cells: NDArray[np.float16], places: NDArray[np.int64]) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, cells=cells, places=places)  # a ZIP file, which has a checksum of each array
