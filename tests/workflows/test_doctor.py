"""`marey doctor`: text for a bug report, with a remedy for each failed check and without the name of the user."""

import getpass
import json
import re
import sys
from pathlib import Path

import pytest
import torch

import marey as package
from marey.workflows import doctor
from tests.support.command import marey
from tests.support.front_page import README

LOOKS = ("_versions", "_opencv", "_clashes", "_decoder", "_network", "_weights", "_gpu", "_disk", "_cache")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home folder of somebody called Alexandra, with a cache in it."""
    folder = tmp_path / "homes" / "alexandra"
    (folder / ".cache" / "marey" / "probes").mkdir(parents=True)
    (folder / ".cache" / "marey" / "probes" / "a.jsonl").write_bytes(bytes(1_500_000))
    monkeypatch.setattr(Path, "home", lambda: folder)
    monkeypatch.setattr(getpass, "getuser", lambda: "alexandra")
    monkeypatch.setenv("MAREY_CACHE", str(folder / ".cache" / "marey"))
    return folder


@pytest.fixture
def quick(monkeypatch) -> None:
    """Without the checks that decode and compute."""
    for look in ("_decoder", "_network", "_gpu"):
        monkeypatch.setattr(doctor, look, named(look, lambda: doctor.Finding("a", True, "b")))


def named(name: str, function):
    function.__name__ = name
    return function


def test_the_text_has_what_a_bug_report_needs(home, quick, monkeypatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setenv("MAREY_MIRROR", "https://alexandra:secret@mirror.example")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    text = marey("doctor").stdout
    assert text.startswith(f"marey {package.__version__}")
    for word in (
        "python 3.",
        "torch 2.",
        "av ",
        "FFmpeg",
        "opencv",
        "platform ",
        "OMP_NUM_THREADS=3",
        "MAREY_MIRROR=(set)",
    ):
        assert word in text
    assert "cache ~/.cache/marey: 1.5 MB in 1 file\n" in text.replace("\\", "/")
    assert "marey cache --clear" in text
    assert "pip uninstall marey" in text
    assert "VIRTUAL_ENV" in text
    assert "Run folders" in text
    assert "alexandra" not in text
    assert "secret" not in text


def test_json_has_the_same_facts(home, quick) -> None:
    text, facts = marey("doctor").stdout, json.loads(marey("doctor", "--json").stdout)
    assert facts["healthy"]
    assert facts["cache"]["folder"].replace("\\", "/") == "~/.cache/marey"
    assert (facts["cache"]["size"], facts["cache"]["files"]) == (1_500_000, 1)
    for name, version in facts["installed"].items():
        assert f"{name} {version}\n" in text
    for finding in facts["findings"]:
        assert finding["name"] in text
        assert finding["found"] in text
    for step in facts["removal"]:
        assert step["command"] in text
        assert step["what"] in text
    assert "alexandra" not in json.dumps(facts)


@pytest.mark.parametrize(
    ("prefix", "active", "commands"),
    [
        ("/usr", None, ["marey cache", "pip uninstall"]),
        ("/srv/env", "/srv/env", ["marey cache", "pip uninstall", 'rm -r "$VIRTUAL_ENV"']),
        ("/srv/env", None, ["source /srv/env/bin/activate", "marey cache", "pip uninstall", 'rm -r "$VIRTUAL_ENV"']),
        ("/srv/env", "/srv/other", ["source /srv/env", "marey cache", "pip uninstall", 'rm -r "$VIRTUAL_ENV"']),
    ],
)
def test_removal_is_of_the_environment_that_marey_is_in(prefix, active, commands, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    if active:
        monkeypatch.setenv("VIRTUAL_ENV", active)
    given = [command for command, _ in doctor._removal()]
    assert len(given) == len(commands)
    assert all(command.startswith(wanted) for command, wanted in zip(given, commands, strict=True))


def test_user_names_in_messages_and_paths_are_left_out(home) -> None:
    text = doctor._without_names(f"{home}/a.so, /scratch/alexandra/b and /data/alexandrab/c, {home}b")
    assert text == f"~/a.so, /scratch/<user>/b and /data/alexandrab/c, {home.parent}/<user>b".replace(
        "<user>b", "alexandrab"
    )
    assert doctor._anonymous({"a": [str(home), 1, None]}) == {"a": ["~", 1, None]}


@pytest.mark.parametrize("look", LOOKS)
def test_a_check_that_fails_is_reported_with_advice_and_the_others_still_run(look, home, quick, monkeypatch) -> None:
    def broken():
        raise RuntimeError("it is\nbroken")

    monkeypatch.setattr(doctor, look, named(look, broken))
    report = doctor.examine()
    wrong = [finding for finding in report.findings if not finding.well]
    assert [finding.name for finding in wrong] == [look.strip("_")]
    assert len(report.findings) == len(LOOKS)
    assert wrong[0].found == "RuntimeError: it is broken"
    assert wrong[0].mend.startswith("pip install --force-reinstall ")
    assert f"FAIL {look.strip('_')}" in report.as_text()
    assert f"-> {wrong[0].mend}" in report.as_text()


@pytest.mark.parametrize(
    ("module", "package"),
    [("numpy", "numpy"), ("av", "av"), ("cv2", doctor.OPENCV), ("lightning_fabric", "lightning-fabric")],
)
def test_a_missing_package_is_named_with_the_command(module, package, home, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(("marey.video.", "lightning_fabric."))]:
        monkeypatch.delitem(sys.modules, name)
    look = {"numpy": doctor._decoder, "av": doctor._decoder, "cv2": doctor._opencv}.get(module, doctor._clashes)
    found = doctor._guarded(look, "other")
    assert not found.well
    assert found.mend.endswith(f" {package}")


def test_requirements_that_are_gone_are_named(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "_is_installed", lambda module: module not in ("safetensors", "jinja2"))
    for module in ("safetensors", "jinja2"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = doctor._versions()
    assert not found.well
    assert found.mend == "pip install safetensors jinja2"


def test_a_cache_that_cannot_be_used_is_named_with_a_way_out(home, monkeypatch) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", str(home / ".cache"))

    monkeypatch.setattr(doctor, "cache_contents", refused)
    report = doctor.examine()
    found = report.findings[-1]
    assert not found.well
    assert "Permission denied" in found.found
    assert "MAREY_CACHE" in found.mend
    assert "alexandra" not in report.as_text()


def test_other_files_in_the_cache_are_named(home) -> None:
    (home / ".cache" / "marey" / "mine.txt").write_text("")
    assert "left alone there: 1 (mine.txt, ...)" in doctor._cache().found


def test_a_torch_for_cpus_beside_an_nvidia_driver_is_named_with_the_way_out(monkeypatch) -> None:
    """As after both of README's lines that install torch: pip keeps the first."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_: None)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor._gpu().found == "none that torch can use: everything runs on the CPU"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    found = doctor._gpu().found
    (cuda,) = re.findall(r"^    pip install (torch --index-url \S+/cu\d+)$", README.read_text(encoding="utf-8"), re.M)
    assert found.endswith(f"but this torch is built for CPUs: pip install --force-reinstall {cuda}")
