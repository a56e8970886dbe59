"""From a recipe, a checkpoint of ours or an older toolkit's file to a classifier that is ready to answer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from pydantic import ValidationError
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
from marey.weights.fetching.obtain import Obtained, is_address, obtain, obtain_named
from marey.weights.fetching.store import record_of
from marey.weights.files.runs import MODEL, looks_like_a_file
from marey.weights.files.tensorflow import is_tensorflow
from marey.weights.foreign import layout_for, layouts_of, read_contents, variant_of
from marey.weights.inferred import recipe_for, released_as
from marey.weights.layouts.resnet import Change, Variant
from marey.weights.positions import resize_to_fit
from marey.weights.wrapped import has_classifier, variant_in


class OtherClassesError(WeightsError):
    """Weights that fit but for the classifier, which is for another number of classes."""

    def __init__(self, what: str, difference: str = "") -> None:
        self.what, self.difference = what, difference
        """What does not fit; and the sentence that says which classes the file has."""
        super().__init__(
            f"{what} (allow_new_head=True, in convert --allow-new-head: take it with a fresh classifier).{difference}"
        )


def build_model(recipe: Recipe, class_names: Sequence[str] | None = None) -> Classifier:
    """A classifier by a recipe, its network with random weights and the recipe's rates of dropout and drop path.

    Without `class_names` they are those of the recipe's data set, where it is a public one and as many.

    Raises:
        WeightsError: the recipe's network is a user's own module.
    """
    return Classifier(_built(recipe), recipe, classes=class_names or _published_names(recipe))


def build_network(recipe: Recipe) -> Network:
    """The bare network of a recipe, with random weights: from clips to logits, without preprocessing and class names.

    Raises:
        WeightsError: the recipe's network is a user's own module.
    """
    return _built(recipe)


def _built(recipe: Recipe) -> Network:
    network: Network = recipe.model.build()
    network.regularise(dropout=recipe.train.dropout, drop_path=recipe.train.drop_path)
    return network


def _published_names(recipe: Recipe) -> tuple[str, ...] | None:
    names = class_names_of(recipe.dataset)
    return names if names is not None and len(names) == recipe.model.num_classes else None


def load_model(
    recipe: Recipe | str | Path | None = None,
    *,
    weights: str | Path | Obtained | None = None,
    model: nn.Module | None = None,
    allow_new_head: bool = False,
    trust_first_use: bool = False,
    classes: Sequence[str] | str | Path | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """A classifier in eval mode, with its recipe, class names and load report.

        load_model("r3d_r18_16x1_k400_torchvision")        published weights, fetched once (`marey list --available`)
        load_model("runs/a/best.safetensors")              our own file needs nothing else
        load_model("runs/a")                               a run: its best checkpoint, or without validation its last
        load_model("runs/a/best.safetensors", model=mine)  our own file of a module that is not Marey's
        load_model("hf://org/name@revision")               the same thing on the Hugging Face hub
        load_model(recipe, weights="old.pth")              an older toolkit's file; its layout is detected
        load_model("old.pth", classes="names.txt")         network and class count taken from the file; a released
                                                           file is known by its name
        load_model("rgb_imagenet/")                        a TensorFlow checkpoint: its folder, index or prefix
        load_model(recipe, weights="https://.../a.pth")    a file at an address: https:// or hf://org/name@revision/file

    `allow_new_head` accepts weights for another number of classes, or without a classifier: it then starts fresh, and the
    report says so. `classes` names the classes of a file that does not, in the order of its logits: names, or a file with
    one on a line. `trust_first_use` fetches a file of which no hash was published, too: its SHA-256 is recorded, and a later
    change is refused. `model` is the module whose weights a file of ours holds, made as for training, where its code is the
    user's own: it is filled and kept.

    Raises:
        WeightsError: a tensor is missing, left over, of another shape, or not finite; the file cannot be read, or not be
            fetched; it has no classifier, or several networks; it holds a user's own module and `model` is not given, or
            the other way round.
        RecipeError: a name that no recipe has; class names that are not as many as the classes, or not the file's own.
    """
    if recipe is not None and not isinstance(recipe, Recipe) and is_file_of_ours(recipe):
        if weights is not None:
            raise WeightsError(f"{recipe} holds weights of its own: leave out weights={weights}.")
        recipe, weights = None, recipe
    declared = recipe if isinstance(recipe, Recipe) or recipe is None else get_recipe(str(recipe))
    if weights is None and declared is None:
        raise WeightsError("load_model needs a recipe, a checkpoint of ours, or weights=FILE.")
    if weights is not None:
        found = weights if isinstance(weights, Obtained) else obtain_named(weights, trust_first_use=trust_first_use)
    else:
        assert declared is not None
        found = obtain(declared, trust_first_use=trust_first_use)
    path, source = (found.path, found.source) if isinstance(found, Obtained) else (found, None)
    if is_own(path) and not is_tensorflow(path):
        loaded = _own(path, declared, allow_new_head, model)
    elif model is None:
        try:
            loaded = _foreign(path, declared, allow_new_head, source, named=classes is not None)
        except WeightsError as error:
            if source is None or source.trust != "none":
                raise
            raise WeightsError(
                f"{error} It was taken on your word: marey weights remove {source.file} --forget removes it."
            ) from None
    else:
        raise WeightsError(f"{path}: model= goes with a .safetensors file that Marey wrote of such a module.")
    record = found.record if isinstance(found, Obtained) else record_of(path / MODEL if path.is_dir() else path)
    if record is not None and loaded.load_report is not None:
        trust = record.trust if source is None else source.trust
        origin = Origin(address=record.address, sha256=record.sha256, trust=trust)
        loaded.load_report = replace(loaded.load_report, origin=origin)
    if classes is not None:
        loaded = loaded.with_classes(read_classes(classes) if isinstance(classes, str | Path) else classes)
    return loaded.to(device).eval()


def as_classifier(model: Classifier | Recipe | str | Path) -> Classifier:
    """The classifier, or the one that `load_model` makes of a name: a checkpoint, the folder of a run, a recipe.

    Raises:
        RecipeError, WeightsError: a wrong name, a checkpoint that cannot be loaded, or something else than these.
    """
    if isinstance(model, str | Path | Recipe):
        return load_model(model)
    require_classifier(model)
    return model


def config_in(path: Path) -> NetworkConfig | None:
    """The network that a checkpoint of ours or an older toolkit's holds; None where its shapes do not show it.

    Raises:
        WeightsError: the file cannot be read.
    """
    if is_own(path) and not is_tensorflow(path):
        return read_checkpoint(path).recipe.model
    tensors = read_contents(path).tensors
    layouts = layouts_of(tensors, path)
    try:
        return variant_of(tensors, layouts, path)[0].config
    except WeightsError:
        return None


def is_file_of_ours(name_or_file: str | Path) -> bool:
    """Whether a word names a checkpoint (a file, a folder, an address), also one that is not there, and not a recipe."""
    word = str(name_or_file)
    return is_address(word) or Path(word).exists() or looks_like_a_file(word)


def _own(path: Path, recipe: Recipe | None, allow_new_head: bool, module: nn.Module | None) -> Classifier:
    checkpoint = read_checkpoint(path)
    _check_module(checkpoint, module, path)
    module = module.network if isinstance(module, Classifier) else module
    if module is not None:
        refuse_unfinished(module)
    recipe = recipe or checkpoint.recipe
    network = _built(recipe) if module is None else module
    pairs = [(name, name) for name in network.state_dict()]
    try:
        report = _filled(network, checkpoint.tensors, pairs, source=str(path), layout="marey", new_head=allow_new_head)
    except OtherClassesError as error:
        held = counted(checkpoint.recipe.model.num_classes, "class")
        raise OtherClassesError(error.what, f" The file holds {held}.") from None
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
    names = None if report.new_head else checkpoint.class_names or _published_names(recipe)
    report = replace(report, names_assumed=names is not None and checkpoint.class_names is None)
    calibration = None if report.new_head else checkpoint.description.calibration
    return Classifier(
        network, recipe, classes=names, load_report=report, calibration=calibration,
        trained_on=checkpoint.description.trained_on,
    )  # fmt: skip


def _check_module(checkpoint: Checkpoint, module: nn.Module | None, path: Path) -> None:
    """A user's own module has to be given for its own file, and for no other.

    Raises:
        WeightsError: it is missing, or the file holds one of Marey's networks.
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


def _foreign(
    path: Path, recipe: Recipe | None, allow_new_head: bool, source: Source | None, *, named: bool
) -> Classifier:
    """A classifier from an older toolkit's file, which came from `source`, if it was published there.

    `named`: the user names its classes, so that none are assumed.
    """
    contents = read_contents(path)
    tensors, notes, said = contents.tensors, contents.notes, contents.choices
    layouts = layouts_of(tensors, path)
    if source is not None:
        _check_layout(layouts, source, path)
    assumed = False
    if recipe is None:
        variant, layout = variant_of(tensors, layouts, path)
        _require_classifier(tensors, layout, path, allow_new_head)
        config = variant.config
        if not has_classifier(tensors, layout):
            # Any number of classes: the classifier starts anew, and training gives it that of its own.
            config = config.model_copy(update={"num_classes": 400})
        recipe = released_as(path.name, config)
        if recipe is not None:
            notes += (f"published as {recipe.name}", *_variant_notes(recipe.model, layout, tensors))
        else:
            recipe, note = recipe_for(config, layout)
            notes += (note, *variant.notes)
            assumed = _published_names(recipe) is not None
            if assumed and not named:
                said += (
                    f"its {counted(config.num_classes, 'class')} are taken for those of {recipe.dataset}, in their order: "
                    "the file does not name them; --classes FILE (classes=) does",
                )
    else:
        layout = layout_for(recipe.model, layouts, path)
        if _told(tensors, layout) is not None:
            _require_classifier(tensors, layout, path, allow_new_head)
        assumed = source is None
        notes += _variant_notes(recipe.model, layout, tensors)
    tensors = _plain(tensors, layout)
    network = _built(recipe)
    pairs = list(layout.pairs(network))
    unused = tuple(name for name in getattr(layout, "UNUSED", ()) if name in tensors)
    try:
        report = _filled(
            network,
            _as_ours(network, {name: value for name, value in tensors.items() if name not in unused}, pairs, layout),
            pairs,
            source=str(path),
            layout=layout.NAME,
            new_head=allow_new_head,
            left_out=contents.left_out + unused,
            absent=getattr(layout, "ABSENT", ()),
            notes=notes,
        )
    except OtherClassesError as error:
        raise OtherClassesError(error.what, _difference(tensors, layout, recipe)) from None
    except WeightsError as error:
        raise WeightsError(f"{error}{_difference(tensors, layout, recipe)}") from None
    names = None if report.new_head else _published_names(recipe)
    said = contents.choices if report.new_head else said
    for line in said:
        notice(f"{path}: {line}")
    report = replace(
        report, notes=(*said, *report.notes), said=(*said, *report.said), names_assumed=assumed and names is not None
    )
    return Classifier(network, recipe, classes=names, load_report=report)


def _plain(tensors: dict[str, Tensor], layout: ModuleType) -> dict[str, Tensor]:
    """The tensors by the names of `layout.pairs`."""
    return layout.plain(tensors) if hasattr(layout, "plain") else tensors


def _require_classifier(tensors: dict[str, Tensor], layout: ModuleType, path: Path, allow_new_head: bool) -> None:
    if not allow_new_head and not has_classifier(tensors, layout):
        raise WeightsError(
            f"{path}: a {layout.NAME} checkpoint with no classifier in it: it can only start a training: --init {path}."
        )


def _told(tensors: dict[str, Tensor], layout: ModuleType) -> Variant | None:
    """The network that shapes tell, None where they tell none."""
    try:
        return variant_in(tensors, layout)
    except ValidationError:
        return None


def _check_layout(layouts: Sequence[ModuleType], source: Source, path: Path) -> None:
    found = list(dict.fromkeys(layout.NAME for layout in layouts))
    if source.layout is not None and source.layout not in found:
        raise WeightsError(
            f"{path}: a file in the layout {' or '.join(found)}, and {source.address} is declared in {source.layout}."
        )


def _difference(tensors: dict[str, Tensor], layout: ModuleType, recipe: Recipe) -> str:
    """How a file's network differs from a recipe's, as far as shapes show it: a sentence to end an error with."""
    variant = _told(tensors, layout)
    held, wanted = dict(variant.config) if variant is not None else {}, dict(recipe.model)
    words = {"network": "the network {}", "depth": "depth {}", "channels": "{} channels", "num_classes": "{} classes"}
    other = [field for field in words if held and held.get(field) != wanted.get(field)]
    if not other:
        return ""
    theirs, ours = (", ".join(words[field].format(each.get(field)) for field in other) for each in (held, wanted))
    return f" The file holds {theirs}; {recipe.name} has {ours}."


def _as_ours(
    network: Network, tensors: dict[str, Tensor], pairs: list[tuple[str, str]], layout: ModuleType
) -> dict[str, Tensor]:
    """Their tensors, laid as ours are where a layout says how they differ."""
    changes: dict[str, Change] = layout.changes(network) if hasattr(layout, "changes") else {}
    names = {ours: theirs for theirs, ours in pairs}
    changed = {names[ours]: change.take for ours, change in changes.items() if names[ours] in tensors}
    return tensors | {theirs: take(tensors[theirs]) for theirs, take in changed.items()}


def _variant_notes(config: NetworkConfig, layout: ModuleType, tensors: dict[str, Tensor]) -> tuple[str, ...]:
    """Where a recipe wants another variant of the network than the shapes and the toolkit's defaults suggest."""
    variant = _told(tensors, layout)
    if variant is None or variant.config.network != config.network:
        return ()
    inferred = dict(variant.config)
    return tuple(
        f"{field} is {value} as the recipe says; {layout.NAME}'s own is {inferred[field]}"
        for field, value in config
        if field != "num_classes" and inferred[field] != value
    )


def _filled(
    network: nn.Module,
    tensors: dict[str, Tensor],
    pairs: list[tuple[str, str]],
    *,
    source: str,
    layout: str,
    new_head: bool,
    left_out: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> LoadReport:
    """Put `tensors` into `network` by (their, our) name pairs: all of them, or an error that says what is wrong.

    Ours that end in one of `absent` have no counterpart in the layout.
    """
    state = network.state_dict()
    unnamed = {ours for ours in state if not ours.endswith(absent)} - {ours for _, ours in pairs}
    if unnamed:
        raise WeightsError(f"{source}: the {layout} layout has no such network: nothing there is our {min(unnamed)}.")
    fresh = {t: o for t, o in pairs if o.startswith("head.") and t in tensors and tensors[t].shape != state[o].shape}
    dropped = tuple(fresh)
    heads = [ours for _, ours in pairs if ours.startswith("head.")]
    headless = bool(heads) and not any(theirs in tensors for theirs, ours in pairs if ours in heads)
    if headless and new_head:
        pairs = [(theirs, ours) for theirs, ours in pairs if ours not in heads]
        notes = (*notes, f"no classifier in it: a new head for {counted(len(state[heads[-1]]), 'class')}")
    if fresh and new_head:
        # A head of several layers may keep those before the classifier, which comes last.
        tensors = {t: value for t, value in tensors.items() if t not in fresh}
        pairs = [(t, o) for t, o in pairs if not o.startswith("head.") or t in tensors]
        notes = (*notes, f"a new head for {counted(len(state[fresh[dropped[-1]]]), 'class')}")
    # Files older than torch 0.4.1 do not count batches; nothing depends on the count.
    pairs = [(t, o) for t, o in pairs if t in tensors or not o.endswith("num_batches_tracked")]
    tensors, resized = resize_to_fit(network, tensors, pairs, source)
    _check(tensors, pairs, state, source, new_head=new_head)
    for line in resized:
        notice(f"{source}: {line}")
    notes += resized
    for theirs, ours in pairs:
        state[ours].copy_(tensors[theirs])
    new_head = new_head and (bool(dropped) or headless)
    return LoadReport(
        source, layout, tuple(pairs), left_out + (dropped if new_head else ()), notes, said=resized, new_head=new_head
    )


def _check(
    tensors: dict[str, Tensor],
    pairs: list[tuple[str, str]],
    state: dict[str, Tensor],
    source: str,
    *,
    new_head: bool,
) -> None:
    used = {theirs for theirs, _ in pairs}
    wrong = [
        f"{t} is {list(tensors[t].shape)}, expected {list(state[o].shape)}"
        for t, o in pairs
        if t in tensors and tensors[t].shape != state[o].shape
    ]
    only_head = bool(wrong) and len(wrong) == sum(
        o.startswith("head.") and t in tensors and tensors[t].shape != state[o].shape for t, o in pairs
    )
    kinds = [
        f"{t} is {_kind(tensors[t])}, expected {_kind(state[o])}"
        for t, o in pairs
        if t in tensors and state[o].is_floating_point() and not tensors[t].is_floating_point()
    ]
    problems = {
        "missing": [t for t, _ in pairs if t not in tensors],
        "left over": [t for t in tensors if t not in used],
        "of another shape": wrong,
        "of another type": kinds,
        # Of the right shapes only: a small file can name a tensor of any size whose values all lie in one place.
        "not finite": [
            t for t, o in pairs if t in tensors and tensors[t].shape == state[o].shape and not _finite(tensors[t])
        ],
    }
    found = [f"{len(names)} {what}: {', '.join(names[:3])}" for what, names in problems.items() if names]
    if found:
        what = f"{source}: the weights do not fit: {'; '.join(found)}"
        raise OtherClassesError(what) if only_head and not new_head else WeightsError(f"{what}.")


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
