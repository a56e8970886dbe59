"""Write docs/reference/commands.md, the reference of all commands, from the program itself. `python tools/commands.py`."""

import argparse
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from marey.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "commands.md"

_HEAD = """# Commands

Generated from the program by `python tools/commands.py`. `marey COMMAND --help` prints the same for the version that is
installed. An example names files of your own (`clips/`, `new.mp4`); results go to standard output, everything else to
standard error.
"""
_COMMON = {"offline", "quiet", "debug"}
"""Options of every command, listed once."""
_METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}
_EXAMPLES = {
    "marey": "marey --help",
    "marey list": "marey list slowonly --available",
    "marey show": "marey show slowonly_r50_8x8_k400 > mine.yaml",
    "marey predict": "marey predict runs/clips-1 new.mp4 --top 3",
    "marey merge": "marey merge part-1.parquet part-2.parquet --out merged.parquet",
    "marey features": "marey features runs/clips-1 --data clips/ --out features/",
    "marey evaluate": "marey evaluate runs/clips-1 --data val.csv",
    "marey train": "marey train clips/ --epochs 30",
    "marey reproduce": "marey reproduce tsn_r50_8seg_k400_mmaction2 --data K400/",
    "marey demo": "marey demo --out runs/first",
    "marey cache": "marey cache",
    "marey doctor": "marey doctor",
    "marey convert": "marey convert old.pth --out new.safetensors",
    "marey report": "marey report runs/clips-1",
    "marey fuse": "marey fuse rgb.npz flow.npz --weights 1,1.5",
    "marey data motions": "marey data motions motions/",
    "marey data list": "marey data list clips/",
    "marey data split": "marey data split clips/ --out split.csv",
    "marey data prepare": "marey data prepare ucf101 UCF101/",
    "marey data audit": "marey data audit split.csv",
    "marey data sources": "marey data sources clips/",
    "marey data resize": "marey data resize clips/ --out small/ --short-side 128",
    "marey data frames": "marey data frames clips/ --out frames/ --short-side 128",
    "marey data flow": "marey data flow clips/ --out flow/ --method dis --short-side 128",
    "marey weights fetch": "marey weights fetch r3d_r18_16x1_k400_torchvision",
    "marey weights list": "marey weights list",
    "marey weights path": "marey weights path r3d_r18_16x1_k400_torchvision",
    "marey weights verify": "marey weights verify",
    "marey weights remove": "marey weights remove r3d_r18_16x1_k400_torchvision",
    "marey weights scan": "marey weights scan checkpoints/ --link",
}


@dataclass(frozen=True)
class _Command:
    name: str
    function: Callable[..., None]

    @property
    def anchor(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def text(self) -> list[str]:
        """The paragraphs of its help."""
        return [_markdown(" ".join(part.split())) for part in (inspect.getdoc(self.function) or "").split("\n\n")]

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """What can be typed: all but the context, which Typer hands over."""
        declared = inspect.signature(self.function).parameters.values()
        return [parameter for parameter in declared if parameter.annotation is not typer.Context]


def page() -> str:
    """The whole page."""
    commands = list(_commands(app, "marey"))
    lines = [_HEAD, *(f"- [`{one.name}`](#{one.anchor}): {one.text[0]}" for one in commands)]
    lines += ["", "## Options of every command", ""]
    lines += [_item(option) for option in commands[0].parameters if option.name in _COMMON]
    lines += ["- `-h`, `--help`: Print the command's help and end.", ""]
    if app.registered_callback is not None and app.registered_callback.callback is not None:
        program = _Command("marey", app.registered_callback.callback)
        lines += ["Without a command:", "", *map(_item, program.parameters), ""]
    for one in commands:
        lines += [f"## {one.name}", "", *(f"{part}\n" for part in one.text), f"    {_EXAMPLES[one.name]}", ""]
        own = [_item(parameter) for parameter in one.parameters if parameter.name not in _COMMON]
        lines += [*own, ""] if own else []
    return "\n".join(lines)


def _commands(group: typer.Typer, name: str) -> Iterator[_Command]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield _Command(f"{name} {command.name}", command.callback)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _commands(below.typer_instance, f"{name} {below.name}")


def _item(parameter: inspect.Parameter) -> str:
    """An item of a Markdown list: the parameter's name and kind of value, the rules for the value, and the help."""
    kind, info = _declared(parameter)
    text, inner = _split_default(info.help or "")
    several = get_origin(kind) is list
    value = info.metavar or _metavar(get_args(kind)[0] if several else kind)
    needed = parameter.default in (inspect.Parameter.empty, ...)
    facts: list[str] = []
    if isinstance(info, OptionInfo):
        # Within Annotated Typer keeps the first name where a default would be.
        stated = [str(names) for names in (info.default, *(info.param_decls or ())) if names is not ...]
        own = parameter.name.replace("_", "-")
        stated = stated or [f"--{own}/--no-{own}" if kind in (bool, bool | None) else f"--{own}"]
        names = [name for names in stated for name in names.split("/")]
        is_flag = kind in (bool, bool | None)
        head = ", ".join(f"`{name}`" if is_flag else f"`{name} {value}`" for name in names)
        facts += ["required"] if needed else []
        facts += ["may be repeated"] if several else []
    else:
        value = info.metavar or parameter.name.upper() + "..." * several
        head = f"`{value if needed or value.startswith('[') else f'[{value}]'}`"
    facts += _range(info)
    if inner:
        facts.append(f"default: {inner}")
    elif not needed and parameter.default is not None and parameter.default is not False:
        facts.append(f"default: `{parameter.default}`")
    stated = f" ({', '.join(facts)})" if facts else ""
    said = text.removesuffix(" May be repeated.") if several else text
    return f"- {head}{stated}: {_markdown(said).rstrip('.')}."


def _declared(parameter: inspect.Parameter) -> tuple[type, OptionInfo | ArgumentInfo]:
    """The parameter's type, without None, and its declaration for Typer."""
    assert get_origin(parameter.annotation) is Annotated, parameter
    kind, info = get_args(parameter.annotation)[:2]
    assert isinstance(info, OptionInfo | ArgumentInfo)
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    return kind, info


def _metavar(kind: type) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return "|".join(one.value for one in kind) if issubclass(kind, Enum) else _METAVARS.get(kind, "")


def _range(info: OptionInfo | ArgumentInfo) -> list[str]:
    match info.min, info.max:
        case None, None:
            return []
        case least, None:
            return [f"{least:g} or more"]
        case None, most:
            return [f"at most {most:g}"]
        case least, most:
            return [f"{least:g} to {most:g}"]


def _split_default(text: str) -> tuple[str, str]:
    """The help, and the default that it states at its end: marked as code if that is one word with digits or
    punctuation.
    """
    found = re.fullmatch(r"(.*?)\s*[\[(]default: (.*)[\])]\.?", text)
    if found is None:
        return text, ""
    is_code = re.fullmatch(r"\S*[<>{}./_\d]\S*", found[2])
    return found[1], f"`{found[2]}`" if is_code else found[2].replace("<", "&lt;")


def _markdown(text: str) -> str:
    """Plain text in which options, file names and settings are marked as code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else _MARKED.sub(r"`\g<0>`", part) for part in parts)


_MARKED = re.compile(
    r"(?<![\w`-])--[a-z][\w-]*(?: [a-z]+\.[a-z_.]+(?:=\w+)?| tensorboard)?"  # options, with a value
    r"|(?<![\w/.])[\w-]+\.(?:npz|csv|html|json|yaml|safetensors|npy|jsonl|txt)\b|(?<!\w)\.(?:npz|csv|html|json|jsonl|npy|txt|safetensors)\b"
    r"|\bMAREY_\w+(?:=\w+)?|\btrain\.\w+(?:\.\w+)*(?:=\w+)?"
)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
