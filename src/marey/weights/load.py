"""Load a classifier: from a recipe's weights, a checkpoint of Marey, or another toolkit's file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from marey.base.errors import WeightsError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport, Origin, refuse_unfinished, require_classifier, user_module_config
from marey.data.catalogue import class_names_of
from marey.data.lists.class_files import read_classes
from marey.models.network import Network
from marey.recipe import NetworkConfig, Recipe, Source
from marey.recipes import get_recipe
from marey.weights.checkpoint import Checkpoint, is_own, read_checkpoint
from marey.weights.fetching.cached_files import record_of
from marey.weights.fetching.obtain import Obtained, looks_like_address, obtain, obtain_named
from marey.weights.files.find_checkpoint import MODEL, looks_like_a_file
from marey.weights.files.tensorflow import is_tensorflow
from marey.weights.foreign import ForeignFile, read_foreign
from marey.weights.inferred_recipe import recipe_by_shapes
from marey.weights.resize_positions import resize_to_fit


class OtherClassesError(WeightsError):
    """The weights fit except for the head, which has another number of classes.

    Args:
        what: What does not fit.
        difference: A sentence on what the file holds instead, with a blank before it; empty if that is not known.
    """

    def __init__(self, what: str, difference: str = "") -> None:
        self.what, self.difference = what, difference
        super().__init__(
            f"{what} (to use the other weights with a new head: allow_new_head=True, or convert --allow-new-head)."
            f"{difference}"
        )


def build_model(recipe: Recipe, class_names: Sequence[str] | None = None) -> Classifier:
    """The classifier of a recipe: its network has random weights and the recipe's rates of dropout and drop path.

    Args:
        class_names: Names of the classes; None: those of the recipe's data set if it is public and has as many.

    Raises:
        WeightsError: the recipe's network is a user's own module.
    """
    return Classifier(build_network(recipe), recipe, classes=class_names or _public_class_names(recipe))


def build_network(recipe: Recipe) -> Network:
    """The bare network of a recipe, with random weights: from clips to logits, without preprocessing and class names.

    Raises:
        WeightsError: the recipe's network is a user's own module.
    """
    network: Network = recipe.model.build()
    network.regularise(dropout=recipe.train.dropout, drop_path=recipe.train.drop_path)
    return network


def _public_class_names(recipe: Recipe) -> tuple[str, ...] | None:
    names = class_names_of(recipe.dataset)
    return names if names is not None and len(names) == recipe.model.num_classes else None


@dataclass(frozen=True)
class OpenedWeights:
    """A file of weights that has been read; `load_model` takes it in place of a path, so that the file is read once."""

    path: Path
    """Path of the file that was read."""
    content: Checkpoint | ForeignFile
    """A checkpoint of Marey, or another toolkit's file."""
    obtained: Obtained | None
    """How the file was fetched or registered; None for a file that the user named."""

    @property
    def config(self) -> NetworkConfig | None:
        """Config of the network in the file; None if the shapes in another toolkit's file do not show it."""
        if isinstance(self.content, Checkpoint):
            return self.content.recipe.model
        return next((one.inferred.config for one in self.content.readings if one.inferred is not None), None)


def open_weights(found: Path | Obtained) -> OpenedWeights:
    """Read a checkpoint of Marey or another toolkit's file, and recognise its layout.

    Raises:
        WeightsError: the file cannot be read, or no layout recognises it.
    """
    path, obtained = (found.path, found) if isinstance(found, Obtained) else (found, None)
    if is_own(path) and not is_tensorflow(path):
        return OpenedWeights(path, read_checkpoint(path), obtained)
    with _removal_advice(obtained):
        return OpenedWeights(path, read_foreign(path), obtained)


def load_model(
    recipe: Recipe | str | Path | None = None,
    *,
    weights: str | Path | Obtained | OpenedWeights | None = None,
    model: nn.Module | None = None,
    allow_new_head: bool = False,
    trust_first_use: bool = False,
    classes: Sequence[str] | str | Path | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """A classifier in eval mode, with its recipe, class names and load report.

        load_model("r3d_r18_16x1_k400_torchvision")        published weights, fetched once (`marey list --available`)
        load_model("runs/a/best.safetensors")              a checkpoint of Marey, which holds its recipe
        load_model("runs/a")                               a run: its best checkpoint, or without validation its last
        load_model("runs/a/best.safetensors", model=mine)  a checkpoint of a module that is not Marey's
        load_model("hf://org/name@revision")               a checkpoint of Marey on the Hugging Face hub
        load_model(recipe, weights="old.pth")              another toolkit's file; its layout is detected
        load_model("old.pth", classes="names.txt")         network and number of classes inferred from the file; a published
                                                           file is recognised by its name
        load_model("rgb_imagenet/")                        a TensorFlow checkpoint: its folder, index or prefix
        load_model(recipe, weights="https://.../a.pth")    a file at an address: https:// or hf://org/name@revision/file

    Args:
        weights: A file, a folder or an address; or what `open_weights` returned.
        model: The user's module, made as for training, whose weights the checkpoint holds: it is filled and used.
        allow_new_head: Accept weights for another number of classes or without a classifier: the head is then new.
        trust_first_use: Fetch a file without a published hash, too. Its SHA-256 is recorded; a later change is refused.
        classes: Class names for a file that has none, in the order of its logits: names, or a file with one per line.

    Raises:
        WeightsError: a tensor is missing, left over, of another shape, or not finite; the file cannot be read or fetched,
            has no classifier or several networks, or holds a user's module and `model` is not given, or vice versa.
        RecipeError: no recipe has this name; or the class names do not match the number of classes, or the file's own names.
    """
    if recipe is not None and not isinstance(recipe, Recipe) and names_checkpoint(recipe):
        if weights is not None:
            raise WeightsError(f"{recipe} holds weights of its own: leave out weights={weights}.")
        recipe, weights = None, recipe
    declared = recipe if isinstance(recipe, Recipe) or recipe is None else get_recipe(str(recipe))
    if isinstance(weights, OpenedWeights):
        opened = weights
    elif isinstance(weights, Obtained):
        opened = open_weights(weights)
    elif weights is not None:
        opened = open_weights(obtain_named(weights, trust_first_use=trust_first_use))
    elif declared is not None:
        opened = open_weights(obtain(declared, trust_first_use=trust_first_use))
    else:
        raise WeightsError("load_model needs a recipe, a checkpoint of Marey, or weights=FILE.")
    path, obtained = opened.path, opened.obtained
    source = obtained.source if obtained is not None else None
    if isinstance(opened.content, Checkpoint):
        loaded = _load_own(opened.content, path, declared, allow_new_head, model)
    elif model is None:
        with _removal_advice(obtained):
            loaded = _load_foreign(opened.content, declared, allow_new_head, source, named=classes is not None)
    else:
        raise WeightsError(f"{path}: model= goes with a .safetensors file that Marey wrote of such a module.")
    record = obtained.record if obtained is not None else record_of(path / MODEL if path.is_dir() else path)
    if record is not None and loaded.load_report is not None:
        trust = record.trust if source is None else source.trust
        origin = Origin(address=record.address, sha256=record.sha256, trust=trust)
        loaded.load_report = replace(loaded.load_report, origin=origin)
    if classes is not None:
        loaded = loaded.with_classes(read_classes(classes) if isinstance(classes, str | Path) else classes)
    return loaded.to(device).eval()


@contextmanager
def _removal_advice(obtained: Obtained | None) -> Iterator[None]:
    """A block whose errors say how to remove the file, if it was fetched without a published hash."""
    try:
        yield
    except WeightsError as error:
        source = obtained.source if obtained is not None else None
        if source is None or source.trust != "none":
            raise
        raise WeightsError(
            f"{error} It was trusted on first use: marey weights remove {source.file} --forget removes it."
        ) from None


def as_classifier(model: Classifier | Recipe | str | Path) -> Classifier:
    """The classifier itself, or the one that `load_model` makes of a recipe, a checkpoint or a run folder.

    Raises:
        RecipeError, WeightsError: an unknown name, a checkpoint that cannot be loaded, or an object of another kind.
    """
    if isinstance(model, str | Path | Recipe):
        return load_model(model)
    require_classifier(model)
    return model


def names_checkpoint(name_or_file: str | Path) -> bool:
    """Whether a word names a checkpoint (a file, a folder or an address, even if it does not exist), and not a recipe."""
    word = str(name_or_file)
    return looks_like_address(word) or Path(word).exists() or looks_like_a_file(word)


def _load_own(
    checkpoint: Checkpoint, path: Path, recipe: Recipe | None, allow_new_head: bool, module: nn.Module | None
) -> Classifier:
    _check_module(checkpoint, module, path)
    module = module.network if isinstance(module, Classifier) else module
    if module is not None:
        refuse_unfinished(module)
    recipe = recipe or checkpoint.recipe
    network = build_network(recipe) if module is None else module
    report = LoadReport(str(path), "marey", tuple((name, name) for name in network.state_dict()))
    try:
        report = _fill(network, checkpoint.tensors, report, new_head=allow_new_head)
    except OtherClassesError as error:
        classes = counted(checkpoint.recipe.model.num_classes, "class")
        raise OtherClassesError(error.what, f" The file holds {classes}.") from None
    except WeightsError as error:
        if recipe.model == checkpoint.recipe.model:
            raise
        raise WeightsError(
            f"{error} The file holds {checkpoint.recipe.name}, another network than {recipe.name}: name the file alone, "
            "without the recipe."
        ) from None
    if report.new_head and module is not None:
        head = [value for name, value in network.state_dict().items() if name.startswith("head.")][-1]
        recipe = recipe.variant(model=user_module_config(module, recipe, num_classes=len(head)))
    names = None if report.new_head else checkpoint.class_names or _public_class_names(recipe)
    report = replace(report, names_assumed=names is not None and checkpoint.class_names is None)
    calibration = None if report.new_head else checkpoint.description.calibration
    return Classifier(
        network, recipe, classes=names, load_report=report, calibration=calibration,
        trained_on=checkpoint.description.trained_on,
    )  # fmt: skip


def _check_module(checkpoint: Checkpoint, module: nn.Module | None, path: Path) -> None:
    """Require a user's module for a checkpoint of such a module, and refuse it for any other checkpoint.

    Raises:
        WeightsError: the module is missing, or the file holds one of Marey's networks.
    """
    if module is None and checkpoint.description.module is not None:
        raise WeightsError(
            f"{path} holds the weights of {checkpoint.description.module}, which is not Marey's: make the "
            "module as for training and pass it, marey.load_model(FILE, model=MODULE); the command line cannot load it."
        )
    if module is not None and checkpoint.description.module is None:
        raise WeightsError(
            f"{path} holds the weights of Marey's own {checkpoint.recipe.model.network}: leave out model=."
        )


def _load_foreign(
    file: ForeignFile, recipe: Recipe | None, allow_new_head: bool, source: Source | None, *, named: bool
) -> Classifier:
    """A classifier from another toolkit's file.

    Args:
        recipe: Recipe of the network. None: it is inferred from the file's name and shapes.
        source: The source that declares the file; None for a file that the user named.
        named: Whether the user gives class names.
    """
    file.check_layout(source)
    reading = file.by_shapes() if recipe is None else file.by_config(recipe.model)
    layout, tensors = reading.layout, reading.layout.normalised(file.contents.tensors)
    headless = not layout.has_classifier(tensors)
    if headless and reading.inferred is not None and not allow_new_head:
        raise WeightsError(
            f"{file.path}: a file in the layout {layout.name} with no classifier in it: it can only start a training: "
            f"--init {file.path}."
        )
    inferred = recipe is None
    if recipe is None:
        recipe, notes, published = recipe_by_shapes(reading, file.path, headless=headless)
    else:
        notes, published = reading.other_fields(recipe.model), source is not None
    network = build_network(recipe)
    pairs, changes = tuple(layout.pairs(network)), layout.changes(network)
    unused = tuple(name for name in layout.unused if name in tensors)
    tensors = {name: value for name, value in tensors.items() if name not in unused}
    tensors |= {
        theirs: changes[ours].take(tensors[theirs]) for theirs, ours in pairs if ours in changes and theirs in tensors
    }
    left_out = file.contents.left_out + unused
    report = LoadReport(str(file.path), layout.name, pairs, left_out, file.contents.notes + notes)
    try:
        report = _fill(network, tensors, report, new_head=allow_new_head, absent=layout.absent)
    except OtherClassesError as error:
        raise OtherClassesError(error.what, reading.difference(recipe)) from None
    except WeightsError as error:
        raise WeightsError(f"{error}{reading.difference(recipe)}") from None
    names = None if report.new_head else _public_class_names(recipe)
    names_assumed = names is not None and not published
    printed = file.contents.choices
    if names_assumed and inferred and not named:
        printed += (
            f"its {counted(recipe.model.num_classes, 'class')} are assumed to be those of {recipe.dataset}, in their "
            "order: the file does not name them; --classes FILE (classes=) does",
        )
    for line in printed:
        notice(f"{file.path}: {line}")
    notes, said = printed + report.notes, printed + report.said
    report = replace(report, notes=notes, said=said, names_assumed=names_assumed)
    return Classifier(network, recipe, classes=names, load_report=report)


def _fill(
    network: nn.Module, tensors: dict[str, Tensor], report: LoadReport, *, new_head: bool, absent: tuple[str, ...] = ()
) -> LoadReport:
    """Copy `tensors` into `network`, strictly: every tensor is used, and every tensor of the network is filled.

    Args:
        report: The file, its layout and, in `renamed`, the pairs (name in the file, our name) to copy.
        new_head: Accept a head that is missing or of another shape: the network's head then keeps its random values.
        absent: Endings of names of our tensors that the layout does not have.

    Returns:
        The report, with the pairs that were copied and what happened to the head and to position embeddings.
    """
    state, source = network.state_dict(), report.source
    unnamed = {ours for ours in state if not ours.endswith(absent)} - {ours for _, ours in report.renamed}
    if unnamed:
        raise WeightsError(
            f"{source}: the layout {report.layout} has no tensor for our {min(unnamed)}: it cannot hold this network."
        )
    if new_head:
        tensors, report = _without_other_head(tensors, report, state)
    # Files older than torch 0.4.1 have no num_batches_tracked, and nothing depends on it.
    pairs = [(t, o) for t, o in report.renamed if t in tensors or not o.endswith("num_batches_tracked")]
    tensors, resized = resize_to_fit(network, tensors, pairs, source)
    _require_exact(tensors, pairs, state, source)
    for line in resized:
        notice(f"{source}: {line}")
    for theirs, ours in pairs:
        state[ours].copy_(tensors[theirs])
    return replace(report, renamed=tuple(pairs), notes=report.notes + resized, said=resized)


def _without_other_head(
    tensors: dict[str, Tensor], report: LoadReport, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], LoadReport]:
    """Do not load the tensors of the head that the file lacks or has in another shape: the network keeps its own.

    Of a head of several layers, those that fit are loaded.
    """
    heads = {theirs: ours for theirs, ours in report.renamed if ours.startswith("head.")}
    reshaped = tuple(t for t, ours in heads.items() if t in tensors and tensors[t].shape != state[ours].shape)
    headless = bool(heads) and heads.keys().isdisjoint(tensors)
    if not (headless or reshaped):
        return tensors, report
    tensors = {theirs: value for theirs, value in tensors.items() if theirs not in reshaped}
    pairs = tuple((theirs, ours) for theirs, ours in report.renamed if theirs not in heads or theirs in tensors)
    classes = counted(len(state[list(heads.values())[-1]]), "class")
    note = f"{'no classifier in it: ' if headless else ''}a new head for {classes}"
    dropped, notes = report.dropped + reshaped, (*report.notes, note)
    return tensors, replace(report, renamed=pairs, dropped=dropped, notes=notes, new_head=True)


def _require_exact(
    tensors: dict[str, Tensor], pairs: list[tuple[str, str]], state: dict[str, Tensor], source: str
) -> None:
    """Refuse tensors that are not exactly those of `state`; the error names the first three of each kind of problem."""
    used = {theirs for theirs, _ in pairs}
    found = [(theirs, ours, tensors[theirs], state[ours]) for theirs, ours in pairs if theirs in tensors]
    reshaped = {theirs: ours for theirs, ours, given, wanted in found if given.shape != wanted.shape}
    problems = {
        "missing": [theirs for theirs, _ in pairs if theirs not in tensors],
        "left over": [theirs for theirs in tensors if theirs not in used],
        "of another shape": [
            f"{theirs} is {list(tensors[theirs].shape)}, expected {list(state[ours].shape)}"
            for theirs, ours in reshaped.items()
        ],
        "of another type": [
            f"{theirs} is {given.dtype}, expected {wanted.dtype}"
            for theirs, _, given, wanted in found
            if wanted.is_floating_point() and not given.is_floating_point()
        ],
        # Only tensors of the right shape: those of a small file may claim any size and share one element's memory.
        "not finite": [t for t, _, given, _ in found if t not in reshaped and not torch.isfinite(given).all()],
    }
    lines = [f"{len(names)} {what}: {', '.join(names[:3])}" for what, names in problems.items() if names]
    if lines:
        what = f"{source}: the weights do not fit: {'; '.join(lines)}"
        only_head = bool(reshaped) and all(ours.startswith("head.") for ours in reshaped.values())
        raise OtherClassesError(what) if only_head else WeightsError(f"{what}.")
