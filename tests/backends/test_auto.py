"""Which backend `auto` chooses, with times that the tests choose."""

import json

import pytest
import torch

from marey.backends.auto import AutoBackend
from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend
from marey.base.cache import backends_folder
from tests.support.planted import Clock, Planted, classifier, views

pytestmark = pytest.mark.usefixtures("cache")
CPU = Compute(device="cpu")


class Machine:
    """A machine where eager takes one second per view, and one and a half the first time."""

    def __init__(self, monkeypatch) -> None:
        self.clock, self.passes = Clock(), 0
        computed = EagerBackend.run

        def run(backend, output, views_VTHWC):
            self.passes += 1
            self.clock.now += len(views_VTHWC) * (1.5 if self.passes == 1 else 1.0)
            return computed(backend, output, views_VTHWC)

        monkeypatch.setattr(EagerBackend, "run", run)

    def compiler(self, name="compile", **options) -> Planted:
        return Planted(name, clock=self.clock, **options)

    def auto(self, *compilers, views: int, **options) -> AutoBackend:
        return AutoBackend(classifier(), CPU.changed(**options), compilers, views=views, clock=self.clock)


@pytest.fixture
def machine(monkeypatch) -> Machine:
    return Machine(monkeypatch)


def test_short_work_stays_eager_and_costs_nothing_more(machine, capsys) -> None:
    compiler = machine.compiler(speed=0.1)
    backend = machine.auto(compiler, views=30)
    assert backend.logits(views(4)).shape == (4, 2)
    assert (machine.passes, compiler.compiled) == (1, [])
    assert backend.report().as_json() == {
        "asked": "auto", "ran": "eager", "why": "about 39 s of work are left, too little to repay compiling",
    }  # fmt: skip
    said = capsys.readouterr().err
    assert said == "backend auto takes eager: about 39 s of work are left, too little to repay compiling\n"
    assert not list(backends_folder("measured").glob("*"))


def test_an_estimate_of_the_time_measures_eager_and_chooses_nothing(machine) -> None:
    compiler = machine.compiler(speed=0.1, cost=0)
    backend = machine.auto(compiler, views=1000)
    assert isinstance(backend.for_estimates(), EagerBackend)
    assert compiler.compiled == []
    backend.logits(views(4))
    assert backend.report().ran == "compile"
    assert backend.for_estimates() is None


@pytest.mark.parametrize("measured", [False, True])
def test_work_of_a_few_seconds_has_no_notice(machine, capsys, measured) -> None:
    if measured:
        machine.auto(machine.compiler(speed=0.9), views=1000).logits(views(4))
    capsys.readouterr()
    machine.passes = 1
    backend = machine.auto(machine.compiler(speed=0.9), views=13)
    backend.logits(views(4))
    assert capsys.readouterr().err == ""
    why = backend.report().why
    short = "seconds per view, measured before on this machine: eager 1, compile 0.9 and the work left is short"
    assert why == (short if measured else "less than 10 s of work are left, too little to repay compiling")


def test_long_work_uses_the_fastest(machine, capsys) -> None:
    fast, slower = machine.compiler("openvino", speed=0.4), machine.compiler("compile", speed=0.6, cost=40)
    backend = machine.auto(slower, fast, views=1000)
    backend.logits(views(4))
    assert (fast.compiled, slower.compiled) == (["logits"], ["logits"])
    report = backend.report()
    assert (report.asked, report.ran) == ("auto", "openvino")
    assert report.why == "seconds per view, measured on this machine: eager 1, openvino 0.4, compile 0.6"
    assert report.relative < 1e-6
    said = [line for line in capsys.readouterr().err.splitlines() if "auto" in line]
    assert said == [f"backend auto takes openvino: {report.why}"]
    count = len(fast.ran)
    backend.logits(views(3))
    assert fast.ran[count:] == [3]


def test_nothing_slower_is_chosen(machine) -> None:
    backend = machine.auto(machine.compiler(speed=2.0), machine.compiler("openvino", speed=0.97), views=1000)
    backend.logits(views(4))
    assert backend.report().ran == "eager"


def test_the_measurement_is_cached(machine) -> None:
    machine.auto(machine.compiler(speed=0.6, cost=40), machine.compiler("openvino", speed=0.4), views=1000).logits(
        views(4)
    )
    (file,) = backends_folder("measured").iterdir()
    assert json.loads(file.read_text()) == pytest.approx({"eager": 1, "openvino": 0.4, "compile": 0.6})
    passes = machine.passes
    slower, fast = machine.compiler(speed=0.6, cost=40), machine.compiler("openvino", speed=0.4)
    backend = machine.auto(slower, fast, views=1000)
    backend.logits(views(4))
    assert slower.compiled == []
    assert fast.ran == [4]
    assert machine.passes - passes == 2  # the first pass, and the one that the result is compared with
    assert "measured before on this machine" in backend.report().why


def test_short_work_stays_eager_although_another_was_measured(machine) -> None:
    machine.auto(machine.compiler(speed=0.4), views=1000).logits(views(4))
    compiler = machine.compiler(speed=0.4)
    backend = machine.auto(compiler, views=30)
    backend.logits(views(4))
    assert compiler.compiled == []
    assert backend.report().ran == "eager"
    assert backend.report().why.endswith("eager 1, compile 0.4 and the work left is short")


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", '{"eager": "x"}', '{"eager": 0}', '{"compile": 0.1}', '{"eager": null}']
)
def test_a_damaged_cache_file_is_measured_again(machine, damage) -> None:
    machine.auto(machine.compiler(speed=0.4), views=1000).logits(views(4))
    (file,) = backends_folder("measured").iterdir()
    whole = file.read_text()
    file.write_text(damage)
    machine.passes = 0
    machine.auto(machine.compiler(speed=0.4), views=1000).logits(views(4))
    assert json.loads(file.read_text()) == pytest.approx(json.loads(whole))


def test_other_outputs_shapes_threads_precisions_and_versions_are_measured_separately(machine, monkeypatch) -> None:
    def measured(x=None, **options) -> int:
        machine.auto(machine.compiler(speed=0.4), views=1000, **options).logits(views(4) if x is None else x)
        return len(list(backends_folder("measured").iterdir()))

    assert [measured(), measured(), measured(views(3))] == [1, 1, 1]
    assert measured(views(4).repeat(1, 2, 1, 1, 1)) == 2
    assert measured(views(4).float()) == 3
    monkeypatch.setattr(Planted, "version", "2")
    assert measured() == 4
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert measured() == 5
    assert measured(views(1)) == 6
    machine.auto(machine.compiler(speed=0.4), views=1000).features(views(4))
    assert len(list(backends_folder("measured").iterdir())) == 7


def test_a_wrong_backend_is_not_chosen(machine, capsys) -> None:
    wrong = machine.compiler(speed=0.1, change=lambda result: result.flip(0))
    backend = machine.auto(wrong, machine.compiler("openvino", speed=0.5), views=1000)
    result = backend.logits(views(4))
    torch.testing.assert_close(result, EagerBackend(classifier(), CPU).logits(views(4)))
    assert backend.report().ran == "openvino"
    assert "backend compile: logits differ from eager float32" in capsys.readouterr().err


def test_what_failed_is_not_tried_again(machine, monkeypatch, capsys) -> None:
    wrong, works = (
        machine.compiler(speed=0.1, change=lambda result: result * 2),
        machine.compiler("openvino", speed=0.5),
    )
    machine.auto(wrong, works, views=1000).logits(views(4))
    (file,) = backends_folder("measured").iterdir()
    assert json.loads(file.read_text()) == pytest.approx({"eager": 1, "openvino": 0.5, "compile": None})
    capsys.readouterr()
    backend = machine.auto(wrong, works, views=1000)
    backend.logits(views(4))
    assert wrong.compiled == ["logits"]
    assert backend.report().ran == "openvino"
    assert backend.report().why.endswith("measured before on this machine: eager 1, openvino 0.5, compile failed")
    assert not [line for line in capsys.readouterr().err.splitlines() if "computes instead" in line]
    monkeypatch.setattr(Planted, "version", "2")
    machine.auto(wrong, works, views=1000).logits(views(4))
    assert wrong.compiled == ["logits", "logits"]


def test_if_all_failed_eager_is_used_at_once(machine) -> None:
    wrong = machine.compiler(speed=0.1, change=lambda result: result * 2)
    for _ in range(2):
        backend = machine.auto(wrong, views=1000)
        backend.logits(views(4))
        assert backend.report().ran == "eager"
        assert backend.report().why.endswith("on this machine: eager 1, compile failed")
    assert wrong.compiled == ["logits"]


def test_what_fails_after_it_was_measured_is_not_tried_again_either(machine) -> None:
    """It worked with other weights before, or fails only while it is timed."""
    machine.auto(machine.compiler(speed=0.1), views=1000).logits(views(4))
    wrong = machine.compiler(speed=0.1, change=lambda result: result * 2)
    backend = machine.auto(wrong, views=1000)
    backend.logits(views(4))
    assert backend.report().why == "seconds per view, measured on this machine: eager 1, compile failed"
    passes = []

    def failing(result):
        passes.append(1)
        if len(passes) == 2:
            raise ValueError("no memory")
        return result

    late = machine.compiler(speed=0.1, change=failing)
    backend = machine.auto(late, views=1000)
    backend.features(views(4))
    assert backend.report().why == "seconds per view, measured on this machine: eager 1, compile failed"


def test_the_chosen_backend_may_fail_later(machine) -> None:
    def failing(result):
        if len(result) == 3:
            raise ValueError("no three")
        return result

    backend = machine.auto(machine.compiler(speed=0.1, change=failing), views=1000)
    backend.logits(views(4))
    assert backend.report().ran == "compile"
    backend.logits(views(3))
    assert (backend.report().asked, backend.report().ran) == ("auto", "eager")
    assert "no three" in backend.report().why


def test_a_compiler_that_is_not_installed_is_left_out(machine) -> None:
    backend = machine.auto(machine.compiler(speed=0.1, lacking="it is not installed"), views=1000)
    backend.logits(views(4))
    assert backend.report().why == "no other backend here computes in float32"


def test_a_cache_that_cannot_be_written(machine, cache, capsys) -> None:
    cache.mkdir()
    (cache / "backends").write_text("a file where the folder would be")
    backend = machine.auto(machine.compiler(speed=0.4), views=1000)
    backend.logits(views(4))
    assert backend.report().ran == "compile"
    assert "the measurements cannot be stored" in capsys.readouterr().err
