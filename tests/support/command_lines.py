"""Commands that pages show: found in Markdown, understood by the parser of the real commands, never run here."""

import inspect
import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import typer
from typer.core import TyperCommand, TyperGroup

from marey.base.errors import MareyError
from marey.cli.app import app
from marey.data.prepare import published_set
from marey.recipes import RECIPES, TWO_STREAMS, get_recipe
from marey.recipes.starts import STARTS
from marey.video.flow.methods import flow_method
from marey.weights.pretraining import WORDS
from marey.workflows.recipe_table import select_rows

ROOT = Path(__file__).parents[2]
FRONT = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]
"""Pages beside the site: README and its like."""
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*(page for page in FRONT if page.name != "CHANGELOG.md"), *DOCS]
"""Pages whose commands hold for this version; the changelog names those of earlier ones."""
STREAMS = {row.name for row in TWO_STREAMS}
NAMES = {row.name for row in RECIPES} | STREAMS
SHELLS = ("", "bash", "sh", "shell", "console", "text", "powershell", "bat")
"""Languages of fenced blocks that may hold commands."""
FOR_FOLDERS = "slowonly_r18_8seg_folder"
"""The recipe whose fields `--set` has where no recipe is named."""

PROGRAM = typer.main.get_command(app)
UsageError = typer.BadParameter.__bases__[0]
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([\w-]*)")
_PROGRAM = re.compile(
    r"^\s*(?:\(\S+\)\s+)?(?:\S*[$%]\s+)?(?:\w+=\S*\s+)*(?:(?:time|nohup|nice(?: -n \d+)?|srun|uv run)\s+)*"
    r"(?:(?:\S*[/\\])?marey(?:\.exe)?|(?:\S*[/\\])?(?:python|py|torchrun)[\d.]*\s+(?:\S+\s+)*?-m\s+marey)(?:\s+|$)(?=[a-z-]|$)"
)
"""What stands before the words of a command of Marey."""
_SAYS = re.compile(r"^marey(?: [a-z]+)*: ")
"""How a line of output begins that a command wrote on standard error."""
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_PLACEHOLDER = re.compile(r"\[?[A-Z][A-Z0-9_]*\]?")


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it. Its words follow `marey`."""

    page: Path
    line: int
    words: tuple[str, ...]
    whole: bool
    """A line of a block, which a reader copies; else a command that a sentence names, of which parts may be left out."""
    written_to: str | None = None
    """The file that standard output goes to."""

    def __str__(self) -> str:
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return f"{page}:{self.line}: marey {shlex.join(self.words)}"


def shown(page: Path) -> list[Shown]:
    """The commands of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    blocks, rest = _divided(text)
    found = [one for number, line in blocks for one in _of_line(page, number, line, whole=True)]
    for start, paragraph in _paragraphs(rest):
        for code in _INLINE.finditer(paragraph):
            number = start + paragraph[: code.start()].count("\n")
            found += _of_line(page, number, " ".join(code[2].split()), whole=False)
    return sorted(found, key=lambda one: one.line)


def _divided(text: str) -> tuple[list[tuple[int, str]], list[str]]:
    """Lines of blocks, each whole with what continues it and with its number; and all lines, those of blocks empty."""
    blocks: list[tuple[int, str]] = []
    rest: list[str] = []
    fence, language, joined = "", "", ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence, language = ("", "") if fence else (mark[1], mark[2])
            rest.append("")
            continue
        code = language in SHELLS if fence else bool(joined) or line.startswith("    ")
        if code and (joined or _PROGRAM.search(re.split(r"[;&|]", line)[0]) or re.search(r"[;&|]\s*marey ", line)):
            joined += line.rstrip().removesuffix("\\") + " "
            rest.append("")
            if not line.rstrip().endswith("\\"):
                blocks.append((number, joined))
                joined = ""
        else:
            rest.append("" if fence else line)
    return blocks, rest


def _paragraphs(lines: list[str]) -> Iterator[tuple[int, str]]:
    start, held = 1, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        if held and (not line.strip() or line.lstrip().startswith("|")):
            yield start, "\n".join(held)
            held = []
        if line.strip():
            start = start if held else number
            held.append(line)


def _of_line(page: Path, number: int, line: str, *, whole: bool) -> Iterator[Shown]:
    if _SAYS.match(line.strip()):
        return
    for words in simple_commands(line):
        to = None
        if ">" in words[:-1]:
            to = words[words.index(">") + 1]
        kept = tuple(_without_redirections(words))
        mark = _PROGRAM.match(" ".join(kept))
        if mark:
            yield Shown(page, number, kept[len(mark[0].split()) :], whole, to)


def simple_commands(line: str) -> list[list[str]]:
    """The commands of a line of a shell, each as words; comments are dropped, `>` stays a word of its own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    lexer.escape = ""  # "\" is a part of Windows' paths; where it continued a line it is gone already
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word and set(word) <= set(";|&"):
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:  # an apostrophe in a sentence that stands in a block
        return []
    return [words for words in commands if words]


def _without_redirections(words: list[str]) -> Iterator[str]:
    dropped = False
    for i, word in enumerate(words):
        if set(word) <= set("<>&"):
            dropped = True
        elif dropped:
            dropped = False
        elif not (word.isdigit() and i + 1 < len(words) and words[i + 1].startswith(">")):
            yield word


# What the words mean -----------------------------------------------------------------------------------------------------


def command_of(words: Iterable[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that the first words name, or the group where they name none, and the words that follow."""
    left, found = list(words), PROGRAM
    while left and isinstance(found, TyperGroup) and left[0] in found.commands:
        found = found.commands[left.pop(0)]
    assert isinstance(found, TyperCommand | TyperGroup)
    return found, left


def options_of(command: TyperCommand | TyperGroup) -> set[str]:
    """All names of its options."""
    return {"-h", "--help"} | {
        name for option in command.params for name in (*option.opts, *option.secondary_opts) if name[0] == "-"
    }


def fault_of(command: Shown) -> str | None:
    """What the real command would refuse, or None. Words in capitals stand for anything."""
    whole = command.whole and "..." not in command.words
    words = _without_placeholders(command.words)
    found, left = command_of(words)
    if not whole and left and left[-1] in options_of(found):
        left.pop()  # an option that a sentence names without its value
    if isinstance(found, TyperGroup) and not left:
        return None
    try:
        _check_names(found, _parsed(found, left, whole=whole))
    except typer.Exit as ending:
        return f"exit code {ending.exit_code}" if ending.exit_code else None
    except UsageError as error:
        return error.format_message()
    except MareyError as error:
        return str(error)
    return None


def values_of(command: Shown) -> dict[str, object]:
    """The values of the command's parameters by name, for a command without a fault."""
    found, left = command_of(_without_placeholders(command.words))
    try:
        return _parsed(found, left, whole=command.whole)
    except typer.Exit:  # of --help
        return {}


def _parsed(found: TyperCommand | TyperGroup, left: list[str], *, whole: bool) -> dict[str, object]:
    needed = [parameter for parameter in found.params if parameter.required]
    try:
        for parameter in needed:
            parameter.required = whole
        context = found.make_context(found.name, list(left))
    finally:
        for parameter in needed:
            parameter.required = True
    if isinstance(found, TyperGroup):
        found.resolve_command(context, [word for word in left if not word.startswith("-")])
    return dict(context.params)


def _without_placeholders(words: Iterable[str]) -> list[str]:
    """The words without `...`, and without options whose value is a word in capitals in place of a number or a choice."""
    found, _ = command_of(words)
    typed = _typed(found)
    kept: list[str] = []
    for word in words:
        if (word == "..." and kept and kept[-1] == "--set") or (
            kept and kept[-1] in typed and _PLACEHOLDER.fullmatch(word)
        ):
            kept.pop()
        elif word != "...":
            name, _, value = word.partition("=")
            if not (name in typed and _PLACEHOLDER.fullmatch(value)):
                kept.append(word)
    return kept


def _typed(command: TyperCommand | TyperGroup) -> set[str]:
    """Its options that take neither any text nor any path: numbers and choices."""
    parameters = {} if command.callback is None else inspect.signature(command.callback).parameters
    kinds = {name: str(get_args(parameter.annotation)[:1]) for name, parameter in parameters.items()}
    return {
        name
        for option in command.params
        for name in option.opts
        if option.name in kinds and not re.search(r"'str'|\bstr\b|Path|bool", kinds[option.name])
    }


def _check_names(command: TyperCommand | TyperGroup, values: dict[str, object]) -> None:
    """Recipes, settings and data sets that the words name.

    Raises:
        MareyError: one is not there.
    """
    match command.name:
        case "list" if "words" in values:
            select_rows(values["words"] or (), network=values["network"], dataset=values["dataset"])
        case "fetch" | "verify" | "remove" | "path":
            _check_recipes([*(values.get("names") or ()), values.get("name")], STREAMS | STARTS.keys())
        case "prepare":
            if values["dataset"] and not _is_open(values["dataset"]):
                published_set(values["dataset"])
        case "flow":
            flow_method(values["method"], values["settings"] or ())
        case _:
            init = values.get("init")
            _check_recipes([init] if isinstance(init, str) else init or (), {*WORDS, *STREAMS, *STARTS})
            names = [values.get(key) for key in ("model", "row", "fuse", "recipe")]
            if command.name == "train" and values["data"] is None:
                names = []  # its first word is a folder or a list
            _check_recipes(names, set() if command.name in ("train", "features", "convert") else STREAMS)
            row = next((name for name in names if name in NAMES), FOR_FOLDERS)
            settings = [one for one in values.get("settings") or () if not _is_open(one.partition("=")[2])]
            if settings and row not in STREAMS:
                get_recipe(row).with_settings(settings)


def _check_recipes(names: Iterable[str | None], others: Collection[str]) -> None:
    for name in names:
        if name is not None and not _is_open(name) and name not in others:
            get_recipe(name)


def _is_open(word: str) -> bool:
    """Whether a word names a file or an address, or stands for any name."""
    return bool(_PLACEHOLDER.fullmatch(word) or re.search(r"[/\\~$]|\.\w", word))
