"""What holds for every backend: the same results as eager, which is checked at run time; otherwise eager computes."""

import json
import re
from typing import get_args

import pytest
import torch
from torch import nn

from marey.backends import choose
from marey.backends.choose import check_backend, open_backend
from marey.backends.compiled import TOLERANCE, CompiledBackend
from marey.backends.compute import BackendName, Compute
from marey.backends.eager import EagerBackend
from marey.base.errors import RecipeError, RunError
from marey.classifier import Classifier
from tests.support.planted import Planted, classifier, views
from tests.support.tiny import RECIPE

CPU = Compute(device="cpu")


def test_eager_is_the_network_itself() -> None:
    model, x = classifier(), views(3)
    backend = EagerBackend(model.train(), CPU)
    assert not model.training
    with torch.inference_mode():
        clip = model.preprocess(x)
        assert torch.equal(backend.logits(x), model.network(clip))
        assert torch.equal(backend.features(x), model.network.features(clip))
        assert torch.equal(backend.positions(x), model.network.positions(clip).flatten(2))
    with pytest.raises(RecipeError, match="gives no tokens"):
        backend.tokens(x)
    assert backend.report().as_json() == {"asked": "eager", "ran": "eager"}


def test_a_right_compiler_computes_and_its_difference_is_reported(capsys) -> None:
    compiler = Planted(change=lambda result: result + 1e-7)
    backend = CompiledBackend(classifier(), CPU, compiler)
    assert backend.report().difference is None
    eager = EagerBackend(classifier(), CPU)
    for count in (3, 2, 3):
        torch.testing.assert_close(backend.logits(views(count)), eager.logits(views(count)), rtol=0, atol=2e-7)
    backend.features(views(2))
    assert compiler.compiled == ["logits", "features"]
    assert compiler.ran == [3, 2, 3, 2]
    report = backend.report()
    assert (report.asked, report.ran, report.why) == ("compile", "compile", "")
    assert 0 < report.difference < 2e-7
    assert 0 < report.relative < report.tolerance == TOLERANCE["float32"]
    json.dumps(report.as_json())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "backend compile: logits differ from eager float32 by up to" in said[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda result: result * 1.02,
            r"logits differ from eager float32 by up to \S+, \S+ standard deviations, where 0.001",
        ),
        (lambda result: result * float("nan"), "by up to nan"),
        (lambda result: result.flip(0), "where 0.001 is allowed in float32"),
        (lambda result: result[:1], r"logits of shape \[1, 2\], eager's have \[3, 2\]"),
    ],
)
def test_a_wrong_compiler_is_caught_on_its_first_batch(change, reason, capsys) -> None:
    compiler = Planted(change=change)
    backend, eager = CompiledBackend(classifier(), CPU, compiler), EagerBackend(classifier(), CPU)
    for seed in range(3):
        assert torch.equal(backend.logits(views(3, seed)), eager.logits(views(3, seed)))
    assert torch.equal(backend.features(views(3)), eager.features(views(3)))
    assert compiler.ran == [3]
    assert backend.report().ran == "eager"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("; eager computes instead")
    assert re.search(reason, said[0])
    assert backend.report().why in said[0]
    assert "NaN" not in json.dumps(backend.report().as_json())


def test_the_first_single_view_is_checked_too() -> None:
    compiler = Planted(change=lambda result: result * (1 if len(result) > 1 else 2))
    backend, eager = CompiledBackend(classifier(), CPU, compiler), EagerBackend(classifier(), CPU)
    backend.logits(views(2))
    assert backend.report().ran == "compile"
    assert torch.equal(backend.logits(views(1)), eager.logits(views(1)))
    assert backend.report().ran == "eager"


def raising(result):
    raise ValueError(f"no kernel for {list(result.shape)}\nand many lines more")


def test_a_compiler_that_fails_is_replaced_with_one_warning(capsys) -> None:
    backend, eager = CompiledBackend(classifier(), CPU, Planted(change=raising)), EagerBackend(classifier(), CPU)
    assert torch.equal(backend.logits(views(3)), eager.logits(views(3)))
    said = capsys.readouterr().err
    assert said == "backend compile: compile failed (ValueError: no kernel for [3, 2]); eager computes instead\n"
    assert backend.report().why == "compile failed (ValueError: no kernel for [3, 2])"


def test_a_function_that_fails_later_is_replaced_then() -> None:
    compiler = Planted(change=lambda result: result if len(result) == 3 else raising(result))
    backend, eager = CompiledBackend(classifier(), CPU, compiler), EagerBackend(classifier(), CPU)
    backend.logits(views(3))
    assert backend.report().ran == "compile"
    for count in (2, 3):
        assert torch.equal(backend.logits(views(count)), eager.logits(views(count)))
    assert (backend.report().ran, compiler.ran) == ("eager", [3, 2])


def test_an_error_of_the_network_is_not_one_of_the_compiler(capsys) -> None:
    backend = CompiledBackend(classifier(), CPU, Planted())
    with pytest.raises(RecipeError, match="gives no tokens"):
        backend.tokens(views(2))
    assert capsys.readouterr().err == ""


class Tokens(nn.Module):
    """A user's module that has tokens: each frame's mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def tokens(self, clip_BCTHW):
        return clip_BCTHW.mean(dim=(3, 4)).transpose(1, 2)

    def forward(self, clip_BCTHW):
        return self.head(self.tokens(clip_BCTHW).mean(dim=1))


def test_all_outputs_of_a_user_s_module() -> None:
    torch.manual_seed(0)
    model = Classifier(Tokens(), RECIPE)
    backend, eager = CompiledBackend(model, CPU, Planted()), EagerBackend(model, CPU)
    for output, shape in (("logits", (3, 2)), ("positions", (3, 2, 1)), ("features", (3, 3)), ("tokens", (3, 2, 3))):
        result = backend.run(output, views(3))
        assert result.shape == shape
        assert torch.equal(result, eager.run(output, views(3)))
    assert backend.report().ran == "compile"


def test_the_reference_is_float32_in_other_precisions_too() -> None:
    wrong = Planted(change=lambda result: result + 10)
    backend = CompiledBackend(classifier(), CPU.changed(precision="bfloat16"), wrong)
    half = EagerBackend(classifier(), CPU.changed(precision="bfloat16"))
    assert torch.equal(backend.logits(views(3)), half.logits(views(3)))
    assert "is allowed in bfloat16" in backend.report().why


def test_the_requested_backend_runs_and_eager_is_the_default(monkeypatch) -> None:
    monkeypatch.setattr(choose, "COMPILERS", (Planted("openvino"), Planted("compile")))
    model = classifier()
    assert isinstance(open_backend(model, CPU, views=10), EagerBackend)
    backend = open_backend(model, CPU.changed(backend="compile"), views=10)
    backend.logits(views(2))
    assert backend.report().ran == "compile"
    assert open_backend(model, CPU.changed(backend="auto"), views=10).report().asked == "auto"


def test_a_backend_that_lacks_something_is_refused_before_work(monkeypatch) -> None:
    monkeypatch.setattr(choose, "COMPILERS", (Planted("openvino", lacking="it does not compute in tf32; use float32"),))
    asked = CPU.changed(backend="openvino")
    for refused in (lambda: check_backend(asked), lambda: open_backend(classifier(), asked, views=10)):
        with pytest.raises(RunError, match=r"^--backend openvino: it does not compute in tf32; use float32\.$"):
            refused()


def test_every_name_is_that_of_a_backend() -> None:
    names = {compiler.name for compiler in choose.COMPILERS}
    assert names | {"auto", "eager"} == set(get_args(BackendName))
