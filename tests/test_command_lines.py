"""Every command that README and docs show exists, with its options, values and recipes."""

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup

from marey.recipes.starts import STARTS
from tests.support.command_lines import DOCS, FRONT, NAMES, PAGES, ROOT, Shown, command_of, fault_of, options_of, shown

COMMANDS = [command for page in PAGES for command in shown(page)]


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_that_a_page_shows_is_understood(command) -> None:
    assert (fault := fault_of(command)) is None, f"{command}: {fault}"


def test_the_pages_show_commands() -> None:
    assert sum(command.whole for command in COMMANDS) > 60
    assert {command.page.name for command in COMMANDS} >= {"README.md", "predict.md", "folder.md", "devices.md"}


def page_of(folder: Path, text: str) -> list[Shown]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return shown(page)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("    marey doctor", ["doctor"]),
        ("    $ marey doctor --json   # a comment", ["doctor --json"]),
        ("```bash\nmarey doctor\n```", ["doctor"]),
        ("```console\n(.venv) $ marey doctor\nall is well\n```", ["doctor"]),
        ("1. First\n\n    ```\n    marey doctor\n    ```", ["doctor"]),
        ("    marey data list clips/ ; marey doctor", ["data list clips/", "doctor"]),
        ("    cd clips && marey doctor", ["doctor"]),
        ("    marey doctor; marey doctor --json", ["doctor", "doctor --json"]),
        ("    marey list | head -1", ["list"]),
        ("    ls | xargs -n 1 echo", []),
        ("    marey train clips/ \\\n        --epochs 3", ["train clips/ --epochs 3"]),
        ("```\nmarey train a/ \\\n  --epochs 3 \\\n  --lr 1\nmarey doctor\n```", ["train a/ --epochs 3 --lr 1", "doctor"]),
        ("    torchrun --nproc-per-node 2 -m marey train clips/ --out runs/a", ["train clips/ --out runs/a"]),
        ("    python -m marey doctor", ["doctor"]),
        ("    .venv/bin/python3.12 -m marey doctor", ["doctor"]),
        ("    .venv/bin/marey doctor", ["doctor"]),
        ("    .venv\\Scripts\\marey.exe doctor", ["doctor"]),
        ("    MAREY_OFFLINE=1 CUDA_VISIBLE_DEVICES=0 marey doctor", ["doctor"]),
        ("    marey show folder > mine.yaml 2> errors.txt", ["show folder"]),
        ("    marey doctor 2>&1 > doctor.txt", ["doctor"]),
        ("    nohup marey doctor &", ["doctor"]),
        ("Say `marey doctor`, or `marey\nlist slowonly`.", ["doctor", "list slowonly"]),
        ("| `marey doctor` |\n|---|\n| ` a lone mark |\n| `marey show NAME` | b |", ["doctor", "show NAME"]),
        ("!!! note\n    Say `marey doctor` first.", ["doctor"]),
        ("`torchrun --nproc-per-node N -m marey train`", ["train"]),
        ("    marey evaluate: runs/e holds another run: choose another --out.", []),
        ("    marey 0.1.0 (torch 2.13.0)", []),
        ("    pip install marey", []),
        ("    git clone marey doctor", []),
        ("```python\nimport marey\nmarey.predict(model)\n```", []),
        ("The folder marey doctor is plain text.", []),
    ],
)  # fmt: skip
def test_commands_are_found_in_a_page(text, words, tmp_path) -> None:
    assert [" ".join(command.words) for command in page_of(tmp_path, text)] == words


def test_a_command_knows_its_line_and_where_its_output_goes(tmp_path) -> None:
    text = "# Title\n\n    marey show NAME > mine.yaml\n\nOne\n`marey list` more.\n"
    first, second = page_of(tmp_path, text)
    assert (first.line, first.written_to, first.whole) == (3, "mine.yaml", True)
    assert (second.line, second.written_to, second.whole) == (6, None, False)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("marey bench", "exit code 2"),
        ("marey nonsense", "nonsense"),
        ("marey data nonsense", "nonsense"),
        ("marey weights", None),
        ("marey doctor --fast", "--fast"),
        ("marey doctor now", "now"),
        ("marey train clips/ --epochs many", "'--epochs'"),
        ("marey train clips/ --epochs 0", "'--epochs'"),
        ("marey train clips/ --epochs N", None),
        ("marey train clips/ --precision half", "half"),
        ("marey predict runs/a", "videos"),
        ("marey predict slowonly_r50 kick.mp4", "slowonly_r50"),
        ("marey predict NAME kick.mp4", None),
        ("marey predict tsn.pth kick.mp4 --fuse tsn_r50_flow", "tsn_r50_flow"),
        ("marey features i3d_incv1_twostream_64x1_k400_deepmind --data clips/", "two streams"),
        ("marey evaluate i3d_incv1_twostream_64x1_k400_deepmind --data val.csv", None),
        ("marey show folder", "folder"),
        ("marey show mine.yaml", None),
        ("marey train folder --data clips/", "folder"),
        ("marey train folder", None),
        ("marey train clips/ --init imagenet21k", "imagenet21k"),
        ("marey train clips/ --set train.epoch=3", "epoch"),
        ("marey train tsn_r50_3seg_k400 --data a.csv --set train.epochs=many", "train.epochs"),
        ("marey train clips/ --set train.epochs=3 --init ig65m", None),
        ("marey reproduce tsn_r50_8seg_k400_mmaction2 --data K400/ --init none --set ...", None),
        ("marey list --network slowonli", "slowonli"),
        ("marey list --dataset k401", "k401"),
        ("marey list nonesuch", "nonesuch"),
        ("marey weights fetch resnet50_imagenet", None),
        ("marey weights fetch resnet50_imagenets", "resnet50_imagenets"),
        ("marey weights path nonesuch", "nonesuch"),
        ("marey convert old.pth --out new.safetensors --recipe nonesuch", "nonesuch"),
        ("marey data prepare ucf102 UCF101/", "ucf102"),
        ("marey data flow clips/ --out flow/ --set presets=fast", "presets"),
        ("marey predict runs/a ... --top 5", None),
        ("marey --help", None),
        ("marey", None),
    ],
)  # fmt: skip
def test_a_wrong_command_is_a_fault(line, fault, tmp_path) -> None:
    (command,) = page_of(tmp_path, f"    {line}")
    found = fault_of(command)
    assert found is None if fault is None else fault in (found or ""), found


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("marey train", None),
        ("marey data resize", None),
        ("marey predict --out", None),
        ("marey predict --outs", "--outs"),
        ("marey predict --device cuda", None),
        ("marey train --epochs many", "'--epochs'"),
        ("marey show folder", "folder"),
        ("marey nonsense", "nonsense"),
    ],
)
def test_a_sentence_may_leave_arguments_out(code, fault, tmp_path) -> None:
    (command,) = page_of(tmp_path, f"As `{code}` does.")
    found = fault_of(command)
    assert found is None if fault is None else fault in (found or ""), found


def all_options() -> set[str]:
    program, _ = command_of([])
    groups = [program, *(command for command in program.commands.values() if isinstance(command, TyperGroup))]
    commands = [program, *(command for group in groups for command in group.commands.values())]
    return {name for command in commands for name in options_of(command)}


OTHERS = {"--nproc-per-node", "--nnodes", "--constraint", "--editable", "--upgrade", "--index-url", "--extra-index-url"}
"""Options of torchrun and pip."""


@pytest.fixture(scope="module")
def known_options() -> set[str]:
    scripts = [
        script.read_text(encoding="utf-8") for name in ("benchmarks", "tools") for script in (ROOT / name).glob("*.py")
    ]
    return OTHERS | all_options() | set(re.findall(r'"(--[a-z-]+)"', "".join(scripts)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_option_that_a_sentence_names_is_there(page, known_options) -> None:
    assert set(re.findall(r"`(--[a-z][\w-]*)[^`]*`", page.read_text(encoding="utf-8"))) <= known_options


def test_a_make_target_that_a_page_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in (*FRONT, *DOCS):
        for target in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_file_of_the_repository_that_a_page_names_is_there(page) -> None:
    for name in re.findall(
        r"[` ]((?:tools|tests|benchmarks|docs)/[\w/.-]+\.(?:py|md|svg|png))", page.read_text("utf-8")
    ):
        other = page.parent.name == "coming-from"  # the scripts of other toolkits
        assert other or (ROOT / name).exists(), name


_ROW = re.compile(r"[a-z0-9]+_[a-z0-9]+_[a-z0-9_]*(?:k400|k600|k700|ucf101|hmdb51|motions|folder)(?:_[a-z0-9]+)*")
"""How the name of a recipe looks: network, depth and clip, data set."""


def rows_that_are_not_there(text: str) -> set[str]:
    """Names in code that look like those of recipes, and are none."""
    return {name for name in re.findall(r"`([\w ]+)`", text) if _ROW.fullmatch(name)} - NAMES - STARTS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_recipe_that_a_sentence_names_is_there(page) -> None:
    assert not rows_that_are_not_there(page.read_text(encoding="utf-8"))


def test_a_recipe_that_is_not_there_is_seen() -> None:
    text = "`slowonly_r50_8x8_k400` is there, `slowonly_r99_8x8_k400` is not; `val.csv` is a file"
    assert rows_that_are_not_there(text) == {"slowonly_r99_8x8_k400"}
