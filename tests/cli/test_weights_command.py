"""`marey weights ...` and `marey list` as a user types them."""

import json
import os
from pathlib import Path

import pytest
import torch

from marey.base.files import sha256
from marey.base.reporter import SilentReporter, reporting
from marey.cli.common import named_models
from marey.recipe import Hash, Source, TwoStream, recipe_from
from marey.recipes import PARAMETERS, RECIPES, TWO_STREAMS, get_recipe
from marey.weights.fetching.cached_files import cached_path, read_record
from marey.weights.layouts import mmaction2
from tests.support.command import marey
from tests.support.serving import serving, whole

pytestmark = pytest.mark.usefixtures("cache")
SMALL = get_recipe("slowonly_r18_8x2_motions").variant(name="small", model={"width": 4, "num_classes": 3})
ROW = "slowonly_r50_8x8_k400"


@pytest.fixture
def weights(tmp_path) -> Path:
    """SMALL's weights as MMAction2 saves them."""
    path, network = tmp_path / "copies" / "small.pth", SMALL.model.build()
    path.parent.mkdir()
    state = network.state_dict()
    torch.save({"state_dict": {theirs: state[ours] for theirs, ours in mmaction2.pairs(network)}}, path)
    return path


def declare(monkeypatch, *sources: Source) -> None:
    """Add SMALL to the recipes, with these sources."""
    recipes = (*RECIPES, SMALL.model_copy(update={"weights": sources}))
    for module in (
        "marey.recipes",
        "marey.weights.fetching.inventory",
        "marey.weights.fetching.obtain",
        "marey.weights.fetching.availability",
    ):
        monkeypatch.setattr(f"{module}.RECIPES", recipes)
    monkeypatch.setattr("marey.weights.fetching.availability.PARAMETERS", {**PARAMETERS, "small": 100_000})


def source(address: str, known: str | None) -> Source:
    return Source(address=address, by="a", layout="mmaction2", hash=None if known is None else Hash(digits=known))


# marey list -------------------------------------------------------------------------------------------------------------


def test_rows_without_weights_are_counted_by_the_reason() -> None:
    """Offline and with an empty cache that is every row."""
    lines = marey("list", "--available").stdout.splitlines()
    rows = (*RECIPES, *TWO_STREAMS)
    at = lines.index(f"{len(rows)} rows left out, whose weights one cannot get:")
    assert "0 rows, 0 with weights one can get." in lines
    assert sum(int(line.split()[0]) for line in lines[at + 1 :]) == len(rows)
    assert any("offline: not here, and the network is not to be used" in line for line in lines[at + 1 :])
    assert not any("left out" in line for line in marey("list").stdout.splitlines())


def test_every_row_in_lines_of_100_columns(monkeypatch) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    lines = marey("list").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    names = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert names == [row.name for row in (*RECIPES, *TWO_STREAMS)]
    available = [
        line for line in lines[1 : lines.index("")] if line.endswith(("  yes", "  asks first", "  host was lost"))
    ]
    assert f"{len(names)} rows, {len(available)} with weights one can get." in lines


def test_list_prints_state_size_licence_and_accuracy_of_a_row(cache) -> None:
    recipe = get_recipe(ROW)
    for expected in ("gone 2021-08", "here"):
        done = marey("list", ROW)
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{ROW} "))
        for said in (ROW, "74.8", "MB", "Apache-2.0", expected):
            assert said in line
        assert f"  {expected.split()[0]} " in done.stdout.partition("\n\n")[2], "the caption explains the word"
        path = cached_path(recipe.weights[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    assert str(cache) in done.stdout


def names_of(*words: str) -> list[str]:
    done = marey("list", *words, "--json")
    assert done.exit_code == 0, done.output
    return [row["name"] for row in json.loads(done.stdout)]


def test_list_filters_by_words_network_data_set_and_availability(monkeypatch) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    everything = names_of()
    assert names_of("SlowOnly", "imagenet") == [n for n in everything if n.startswith("slowonly") and "_imagenet" in n]
    assert set(names_of("--network", "csn")) == {r.name for r in RECIPES if r.model.network == "csn"}
    of_ucf101 = {row.name for row in (*RECIPES, *TWO_STREAMS) if row.dataset == "ucf101"}
    assert set(names_of("--dataset", "UCF101")) == of_ucf101
    assert set(names_of("--dataset", "k400")) == set(names_of("--dataset", "kinetics400"))
    assert set(names_of("pytorchvideo")) == {name for name in everything if name.endswith("_pytorchvideo")}
    living = {r.name for r in RECIPES if any(source.usable for source in r.weights)}
    assert {name for name in names_of("--available") if "twostream" not in name} == living
    path = cached_path(get_recipe(ROW).weights[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert names_of("--available", "--offline") == [ROW]
    rows = json.loads(marey("weights", "list", "slowonly", "--available", "--offline", "--json").stdout)
    assert [row["recipe"] for row in rows["rows"]] == [ROW]
    assert [file["recipes"] for file in rows["files"]] == [[ROW]]
    assert marey("weights", "list", "csn").stdout.startswith("0 files")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["slowonli"], "no recipe has the word 'slowonli'. Did you mean slowonly"),
        (["slowonly", "csn"], "no recipe matches all of these: slowonly, csn"),
        (["--network", "slowfas"], "--network slowfas: no recipe has it. Did you mean slowfast"),
        (["--dataset", "kinetics40"], "--dataset kinetics40: no recipe has it. Did you mean kinetics400"),
        (["csn", "--dataset", "ucf101"], "no recipe matches all of these: csn, ucf101"),
    ],
    ids=" ".join,
)
def test_filters_that_no_row_matches_are_refused(words, message) -> None:
    done = marey("list", *words)
    assert (done.exit_code, message in done.stderr, len(done.stderr.splitlines())) == (1, True, 1)


def test_json_holds_declarations_that_are_read_back() -> None:
    found = json.loads(marey("list", "--json").stdout)
    for row, declared in zip(found[: len(RECIPES)], RECIPES, strict=True):
        assert recipe_from(row, source="--json") == declared
    assert [TwoStream.model_validate(row) for row in found[len(RECIPES) :]] == list(TWO_STREAMS)


# marey weights ----------------------------------------------------------------------------------------------------------


def test_fetch_one_that_is_there_and_one_that_is_gone(weights, monkeypatch, cache) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    content = weights.read_bytes()
    with serving(whole(content)) as server:
        declare(monkeypatch, source(f"{server.url}/small.pth", sha256(weights)[:8]))
        done = marey("weights", "fetch", ROW, "small", "--json")
    assert done.exit_code == 1
    gone, here = json.loads(done.stdout)["fetched"]
    assert (gone["name"], "2021-08" in gone["error"]) == (ROW, True)
    assert (here["name"], here["sha256"], here["trust"]) == ("small", sha256(weights), "prefix")
    assert Path(here["path"]).read_bytes() == content
    for said in ("small", "0.4 MB", "to fetch", f"1 of 2 could not be fetched: {ROW}"):
        assert said in done.stderr, said
    again = marey("weights", "fetch", "small")
    assert (again.exit_code, here["path"] in again.stdout) == (0, True)
    assert marey("weights", "path", "small").stdout == f"{here['path']}\n"


def test_a_file_without_a_hash_is_fetched_only_after_confirmation(weights, monkeypatch) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    with serving(whole(weights.read_bytes())) as server:
        declare(monkeypatch, source(f"{server.url}/small.pth", None))
        refused = marey("weights", "fetch", "small")
        assert (refused.exit_code, "--trust-first-use" in refused.stderr, server.asked) == (1, True, [])
        assert marey("weights", "fetch", "small", "--trust-first-use").exit_code == 0
    assert read_record(Path(marey("weights", "path", "small").stdout.strip())).trust == "none"


@pytest.mark.parametrize(("answer", "trusts"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_the_user_is_asked_to_confirm_a_file_without_a_hash(answer, trusts, monkeypatch, capsys) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    declare(monkeypatch, source("https://a.org/small.pth", None))
    given = []

    def confirm(text: str, **options: object) -> bool:
        given.append((text, options))
        return answer == "y\n"

    monkeypatch.setattr(named_models.typer, "confirm", confirm)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(getattr(named_models.sys, stream), "isatty", lambda: True, raising=False)
    # The text before the question is printed with --quiet, too.
    with reporting(SilentReporter()):
        assert named_models.trust_without_hash(["small"], False) is trusts
    err = capsys.readouterr().err
    for text in (
        "https://a.org/small.pth (by a, ~0.4 MB, licence unknown)",
        "SHA-256 is recorded",
        "--trust-first-use",
    ):
        assert text in err
    assert named_models.trust_without_hash(["small"], True) and not named_models.trust_without_hash(
        [ROW, "file.pth"], False
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not named_models.trust_without_hash(["small"], False)
    assert len(given) == 1


def test_the_option_offline_applies_to_its_command_alone(monkeypatch) -> None:
    monkeypatch.delenv("MAREY_OFFLINE")
    declare(monkeypatch, source("https://a.org/small.pth", "0123abcd"))
    done = marey("weights", "fetch", "small", "--offline")
    assert (done.exit_code, "small.pth" in done.stderr, "--offline" in done.stderr) == (1, True, True)
    *announced, line = done.stderr.splitlines()
    assert line.startswith("marey weights fetch: small: ")
    assert [words.split()[-1] for words in announced] == ["offline"], "nothing is announced as to be fetched"
    assert "MAREY_OFFLINE" not in os.environ


def test_scan_link_list_verify_remove(weights, monkeypatch) -> None:
    declare(monkeypatch, source(f"https://open-mmlab.s3.ap-northeast-2.amazonaws.com/small-{sha256(weights)[:8]}.pth",
                                sha256(weights)[:8]))  # fmt: skip
    shown = marey("weights", "scan", weights.parent)
    for said in (
        "published   small.pth",
        f"SHA-256 {sha256(weights)[:8]}..., as stated by the publisher",
        "1 file of weights",
        "--link",
    ):
        assert said in shown.stdout, said
    done = marey("weights", "scan", weights.parent, "--link", "--json")
    (linked,) = json.loads(done.stdout)["linked"]
    assert (linked["recipe"], linked["how"]) == ("small", "link")
    listed = marey("weights", "list").stdout
    for said in ("small ", "prefix", f"a link to {weights}", "1 link to copies of yours"):
        assert said in listed, said
    assert "1 ok" in marey("weights", "verify").stdout
    weights.rename(weights.with_name("moved.pth"))
    verified = marey("weights", "verify", "small")
    assert (verified.exit_code, f"{weights} is not there" in verified.stdout) == (1, True)
    assert f"{weights}, which is not there any more" in marey("weights", "list").stdout
    removed = marey("weights", "remove", "small")
    assert (removed.exit_code, "the link alone" in removed.stdout) == (0, True)
    assert weights.with_name("moved.pth").is_file()
    assert "removed before" in marey("weights", "remove", "small").stderr
    assert marey("weights", "remove", "small", "--forget").exit_code == 0
    assert json.loads(marey("weights", "list", "--json").stdout)["files"] == []


def test_removing_needs_names_or_all() -> None:
    for words in ([], [ROW, "--all"]):
        done = marey("weights", "remove", *words)
        assert (done.exit_code, "--all" in done.stderr) == (1, True)
    assert marey("weights", "remove", "--all").exit_code == 0


def test_the_state_of_every_row_as_json() -> None:
    rows = {row["recipe"]: row for row in json.loads(marey("weights", "list", "--json").stdout)["rows"]}
    assert set(rows) == {row.name for row in (*RECIPES, *TWO_STREAMS)}
    assert (rows[ROW]["state"], rows[ROW]["available"]) == ("gone 2021-08", False)


@pytest.mark.parametrize(
    "words",
    [["predict", ROW, "none.mp4"], ["evaluate", ROW, "--data", "none.csv"], ["features", ROW, "--data", "none"]],
    ids=" ".join,
)
def test_weights_from_settings_are_checked_before_any_work(words, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAREY_OFFLINE")
    done = marey(*words, "--set", "weights=[{address: https://a.org/b.pth, by: me}]")
    assert f"{ROW}: no hash of b.pth was published" in done.stderr
