"""A classifier is a network with all that its predictions depend on: one of Marey's, or any module of a user."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import marey
from marey.base.errors import DataError, DecodeError, RecipeError, RunError, WeightsError
from marey.classifier import Calibration, Classifier
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import Recipe
from marey.video.pixels import Pixels
from marey.video.sampling import MMAction2Train
from marey.weights.checkpoint import read_checkpoint, save_checkpoint, save_folder
from marey.weights.load import build_model
from marey.weights.pretraining import start
from tests.support.crashing import CrashError, crash_after
from tests.support.tiny import RECIPE

VIDEOS_PER_CLASS = 2
NAMES = ("jump", "run")
CLIP, PIXELS = MMAction2Train(segments=4), Pixels(short_side=32)


class Mean(nn.Module):
    """A user's module: mean colours over time on a coarse grid, and one linear layer."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.features = nn.AdaptiveAvgPool3d((1, 4, 4))
        self.drop, self.fc = nn.Dropout(0.1), nn.Linear(48, classes)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.fc(self.drop(self.features(clip_BCTHW).flatten(1)))


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory) -> tuple[Classifier, Path]:
    torch.manual_seed(0)
    model = marey.Classifier(Mean(), classes=NAMES, clip=CLIP, pixels=PIXELS)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    out = tmp_path_factory.mktemp("run")
    fitted = marey.fit(model, train=videos, val=videos, out=out, workers=0)
    assert any(not torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    return model.eval(), fitted.last


def test_a_classifier_is_made_of_a_module_in_one_line() -> None:
    module = Mean()
    model = marey.Classifier(module, classes=NAMES, clip=CLIP, pixels=PIXELS)
    assert model.network is module
    assert (model.class_names, model.num_classes, model.recipe.test.size) == (NAMES, 2, 28)
    assert model.recipe.model == UserModuleConfig(module="tests.test_classifier.Mean", num_classes=2)
    assert Recipe.model_validate_json(model.recipe.model_dump_json()) == model.recipe
    clip = torch.randn(2, 3, 4, 28, 28)
    model.eval()
    assert torch.equal(model(clip), module(clip))
    assert torch.equal(model.positions(clip).flatten(1), module(clip))
    frames = torch.randint(0, 255, (1, 4, 28, 28, 3), dtype=torch.uint8)
    expected = (frames.double() - torch.tensor(PIXELS.mean)) / torch.tensor(PIXELS.std)
    torch.testing.assert_close(model.preprocess(frames).double(), expected.movedim(-1, 1), atol=1e-5, rtol=0)


def test_its_checkpoint_is_loaded_into_the_module(trained, videos, tmp_path) -> None:
    model, file = trained
    with pytest.raises(
        WeightsError, match=r"holds the weights of tests.test_classifier.Mean.*load_model\(FILE, model=MODULE\)"
    ):
        marey.load_model(file)
    assert marey.load_model(file, model=Classifier(Mean(), model.recipe)).class_names == NAMES
    loaded = marey.load_model(file, model=Mean())
    assert (loaded.recipe, loaded.class_names) == (model.recipe, NAMES)
    clip = torch.randn(1, 3, 4, 28, 28)
    assert torch.equal(loaded(clip), model(clip))
    with pytest.raises(WeightsError, match="2 missing: weight, bias; 2 left over"):
        marey.load_model(file, model=nn.Linear(48, 2))
    folder = tmp_path / "folder"
    save_folder(folder, model)
    assert torch.equal(marey.load_model(folder, model=Mean())(clip), model(clip))


def test_it_can_be_tested_and_gives_predictions_and_features(trained, videos, tmp_path) -> None:
    model, _ = trained
    result = marey.evaluate(model, videos, out=tmp_path / "e", workers=0)
    assert result.num_videos == 4
    assert result.scores.protocol.recipe == "Mean"
    video = videos / result.scores.ids[0]
    prediction = marey.predict(model, video)
    np.testing.assert_array_equal(prediction.probabilities, result.scores.probabilities[0])
    assert prediction.class_names == NAMES
    found = marey.features(model, videos, out=tmp_path / "f", workers=0)
    logits = torch.from_numpy(found[0]) @ model.network.fc.weight.T + model.network.fc.bias
    torch.testing.assert_close(logits.softmax(0), torch.from_numpy(result.scores.probabilities[0]))


def test_a_resumed_run_of_a_module_equals_one_that_never_stopped(videos, tmp_path, monkeypatch) -> None:
    def run(out: str, **options) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = marey.Classifier(Mean(), classes=NAMES, clip=CLIP, pixels=PIXELS)
        model = model.with_recipe(model.recipe.variant(train={"epochs": 3, "base_batch": 2}))
        return read_checkpoint(marey.fit(model, train=videos, out=tmp_path / out, workers=0, **options).last).tensors

    whole = run("a")
    with monkeypatch.context() as patched:
        crash_after(3, patched)
        with pytest.raises(CrashError):
            run("b")
    resumed = run("b", resume=True)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_classifier_takes_a_recipe_or_its_settings_not_both() -> None:
    with pytest.raises(RecipeError, match="pass a recipe, or classes=, clip="):
        Classifier(Mean(), classes=NAMES)
    with pytest.raises(RecipeError, match="the recipe decides it already: leave out clip=, pixels="):
        Classifier(Mean(), RECIPE, clip=CLIP, pixels=PIXELS)
    with pytest.raises(RecipeError, match="3 class names, but the recipe tiny has 2 classes"):
        Classifier(Mean(), RECIPE, classes=("a", "b", "c"))
    model = Classifier(Mean(), RECIPE, classes=NAMES)
    assert model.recipe.test == RECIPE.test
    assert model.recipe.model.module == "tests.test_classifier.Mean"
    assert Classifier(nn.Flatten(), model.recipe).recipe.model.module == "torch.nn.modules.flatten.Flatten"
    with pytest.raises(RecipeError, match="a network of Marey's: pass its recipe"):
        Classifier(RECIPE.model.build(), classes=NAMES, clip=CLIP, pixels=PIXELS)


class Lazy(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.LazyLinear(2)


@pytest.mark.parametrize(
    ("network", "classes", "message"),
    [
        (len, NAMES, "the network is a torch.nn.Module"),
        (Mean(), "ab", "classes are names, one for each logit"),
        (Mean(), [], "classes are names, one for each logit"),
        (Mean(), ("a", "a"), "the class a is named twice"),
        (Lazy(), NAMES, "parameter fc.weight has no shape yet"),
        (Classifier(Mean(), RECIPE), NAMES, "pass its network, classifier.network"),
    ],
)
def test_modules_that_make_no_classifier(network, classes, message) -> None:
    with pytest.raises(RecipeError, match=message):
        Classifier(network, classes=classes, clip=CLIP, pixels=PIXELS)


class Pair(Mean):
    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(clip_BCTHW), clip_BCTHW


@pytest.mark.parametrize(("module", "found"), [(Mean(5), r"a tensor \[\d, 5\]"), (Pair(), "a tuple")])
def test_an_output_that_is_not_the_recipes_logits(module, found, videos, tmp_path) -> None:
    model = marey.Classifier(module, classes=NAMES, clip=CLIP, pixels=PIXELS)
    message = f"gives {found}, and the recipe has 2 classes"
    with pytest.raises(RecipeError, match=message):
        marey.evaluate(model, videos, workers=0)
    with pytest.raises(RecipeError, match=message):
        marey.fit(model, train=videos, out=tmp_path / "a", workers=0)
    assert not (tmp_path / "a").exists()


def test_other_objects_are_refused_in_one_line(videos, tmp_path) -> None:
    for model, message in ((Mean(), "got the bare module tests.test_classifier.Mean"), (3, "got 3")):
        with pytest.raises(RecipeError, match=message):
            marey.predict(model, videos)
        with pytest.raises(RecipeError, match=message):
            marey.evaluate(model, videos)
        with pytest.raises(RecipeError, match=message):
            marey.features(model, videos, out=tmp_path)


def test_a_path_may_be_given_in_place_of_a_classifier(videos, tmp_path) -> None:
    run = tmp_path / "run"
    save_checkpoint(run / "last.safetensors", build_model(RECIPE, NAMES))
    model = marey.load_model(run)
    files = [str(path) for path in sorted(videos.rglob("*.mp4"))]
    expected = [marey.predict(model, file).probabilities for file in files]
    for named in (run, f"{run}/", run / "last.safetensors"):
        several = marey.predict(named, files, workers=0)
        assert [found.path for found in several] == [Path(file) for file in files]
        np.testing.assert_array_equal([found.probabilities for found in several], expected)
    np.testing.assert_array_equal(marey.predict(run, files[1]).probabilities, expected[1])
    result = marey.evaluate(
        run, videos, out=tmp_path / "of-names.txt", workers=0
    )  # in Python a folder may have any name
    assert result.scores.probabilities.shape == (len(files), 2)
    assert len(marey.features(run, videos, out=tmp_path / "f", workers=0)) == len(files)
    for wrong, error in (("no_such_row", RecipeError), (tmp_path / "none", WeightsError)):
        with pytest.raises(error):
            marey.predict(wrong, files[0])


def test_an_unreadable_video_is_an_error_alone_and_a_prediction_among_several(videos, tmp_path) -> None:
    good, broken = next(videos.rglob("*.mp4")), tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    model = build_model(RECIPE, NAMES).eval()
    with pytest.raises(DecodeError, match="broken.mp4"):
        marey.predict(model, broken)
    first, second = marey.predict(model, (broken, good), workers=0)
    assert (first.error is not None, second.error) == (True, None)
    assert marey.predict(model, []) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "onnx"}, "backend 'onnx': expected one of auto, eager"),
        ({"precision": "float16"}, "precision 'float16': expected one of auto, float32"),
        ({"workers": -1}, "workers -1"),
        ({"batch": 0}, "batch 0"),
    ],
)
def test_devices_and_precisions_that_are_missing(options, message) -> None:
    with pytest.raises(RunError, match=message):
        marey.Compute(**options)


def test_the_list_must_have_the_classifiers_classes(videos, tmp_path) -> None:
    model = marey.Classifier(Mean(), classes=("run", "jump"), clip=CLIP, pixels=PIXELS)
    with pytest.raises(DataError, match="its classes are not those of the classifier"):
        marey.fit(model, train=marey.read_manifest(videos), out=tmp_path / "a", workers=0)
    with pytest.raises(RecipeError, match="leave out model="):
        marey.fit(model, model=Mean(), train=videos, out=tmp_path / "a", workers=0)
    with pytest.raises(RecipeError, match="leave out init="):
        marey.fit(model, init="imagenet", train=videos, out=tmp_path / "a", workers=0)
    with pytest.raises(RunError, match="training runs by eager alone"):
        marey.fit(model, train=videos, out=tmp_path / "a", workers=0, backend="compile")
    assert not (tmp_path / "a").exists()


def test_features_need_a_linear_head_or_a_method() -> None:
    class Nothing(nn.Module):
        def forward(self, clip_BCTHW: Tensor) -> Tensor:
            return clip_BCTHW.mean(dim=(2, 3, 4))[:, :2]

    model = marey.Classifier(Nothing(), classes=NAMES, clip=CLIP, pixels=PIXELS)
    with pytest.raises(RecipeError, match=r"no method features\(clip\), and no linear layer of 2 outputs"):
        model.features(torch.zeros(1, 3, 4, 8, 8))
    with pytest.raises(RecipeError, match=r"no method tokens\(clip\)"):
        model.tokens(torch.zeros(1, 3, 4, 8, 8))


def test_a_file_of_mareys_network_takes_no_module(tmp_path) -> None:
    model = build_model(RECIPE, NAMES)
    save_checkpoint(tmp_path / "own.safetensors", model)
    with pytest.raises(WeightsError, match="leave out model="):
        marey.load_model(tmp_path / "own.safetensors", model=Mean())


def test_a_file_of_version_0_1_0_names_another_module(tmp_path) -> None:
    """Its recipe names another network than that of the weights."""
    module = Mean()
    facts = {"epoch": 1, "module": "shop.Mean"}
    save_checkpoint(tmp_path / "old.safetensors", module.state_dict(), RECIPE, NAMES, facts)
    with pytest.raises(WeightsError, match="holds the weights of shop.Mean"):
        marey.load_model(tmp_path / "old.safetensors")
    loaded = marey.load_model(tmp_path / "old.safetensors", model=Mean())
    assert torch.equal(loaded.network.fc.weight, module.fc.weight)
    assert loaded.recipe.model == UserModuleConfig(module="tests.test_classifier.Mean", num_classes=2)
    # Its classes are those of the list, not those of the recipe's network.
    other = RECIPE.variant(model={"num_classes": 7})
    written = {"recipe": other.model_dump_json(), "class_names": json.dumps(NAMES), "provenance": json.dumps(facts)}
    save_file(module.state_dict(), tmp_path / "seven.safetensors", {"marey": "1", **written})
    assert marey.load_model(tmp_path / "seven.safetensors", model=Mean()).num_classes == 2
    with pytest.raises(WeightsError, match="--init .*: it holds shop.Mean"):
        start(RECIPE, tmp_path / "seven.safetensors")


@pytest.mark.parametrize("save", [save_checkpoint, save_folder])
def test_a_calibration_is_saved_and_loaded(save, tmp_path) -> None:
    calibration = Calibration(temperature=1.5, threshold=0.4, fitted_on="12 videos of val.csv")
    model = Classifier(RECIPE.model.build(), RECIPE, classes=NAMES, calibration=calibration)
    path = tmp_path / ("m.safetensors" if save is save_checkpoint else "m")
    save(path, model)
    assert marey.load_model(path).calibration == calibration
    other = RECIPE.variant(model={"num_classes": 3})
    assert marey.load_model(other, weights=path, allow_new_head=True).calibration is None


def test_another_recipe_shares_the_weights() -> None:
    model = build_model(RECIPE, NAMES)
    other = model.with_recipe(RECIPE.variant(pixels={"mean": (0.0, 0.0, 0.0)}))
    assert other.network is model.network
    assert other.class_names == NAMES
    with pytest.raises(RecipeError, match="the network is built, and its settings"):
        model.with_recipe(RECIPE.variant(model={"width": 8}))
    assert (other.preprocess.mean, model.preprocess.mean) == ((0.0,) * 3, RECIPE.pixels.mean)


class Headed(nn.Module):
    """A head of two layers, the last without a bias."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, classes, bias=False))

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.head(clip_BCTHW.mean(dim=(2, 3, 4)))


def test_a_module_for_other_classes_is_loaded_except_for_its_last_layer(tmp_path) -> None:
    source = marey.Classifier(Headed(3), classes=("a", "b", "c"), clip=CLIP, pixels=PIXELS)
    save_checkpoint(tmp_path / "m.safetensors", source)
    with pytest.raises(
        WeightsError,
        match=r"head.2.weight is \[3, 4\], expected \[2, 4\] .*allow_new_head",
    ):
        marey.load_model(tmp_path / "m.safetensors", model=Headed(2))
    loaded = marey.load_model(tmp_path / "m.safetensors", model=Headed(2), allow_new_head=True)
    assert (loaded.num_classes, loaded.class_names) == (2, None)
    assert torch.equal(loaded.network.head[0].weight, source.network.head[0].weight)
    assert "a new head for 2 classes" in str(loaded.load_report)


def test_a_bare_module_is_saved_under_its_own_name(tmp_path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", Mean(), RECIPE, NAMES)
    assert (
        marey.load_model(tmp_path / "m.safetensors", model=Mean()).recipe.model.module == "tests.test_classifier.Mean"
    )


@pytest.mark.parametrize("save", [save_checkpoint, save_folder])
def test_a_file_with_names_for_other_classes_is_not_written(save, tmp_path) -> None:
    with pytest.raises(WeightsError, match="3 class names, but the recipe tiny has 2 classes"):
        save(tmp_path / "m", build_model(RECIPE), class_names=("a", "b", "c"))
    assert not (tmp_path / "m").exists()


def test_a_classifier_is_not_wrapped_again() -> None:
    with pytest.raises(RecipeError, match=r"pass its network, classifier.network"):
        Classifier(build_model(RECIPE), RECIPE)


def test_a_module_without_tensors_is_on_the_cpu() -> None:
    assert Classifier(nn.Identity(), RECIPE).device == torch.device("cpu")


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        Calibration(threshold=7, fitted_on="val.csv")
