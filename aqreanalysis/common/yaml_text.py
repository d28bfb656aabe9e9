"""YAML that a stranger may have written: no aliases, no depth, no size that a config or a grid never has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

MOST_CHARACTERS = 1 << 20
_DEEPEST = 20
_SHOWN = 80


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, by which 500 bytes stand for 10^8 values, and nesting that no file of ours has."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("it holds an alias (*name), which is not read: write the value out")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# To YAML 1.1 +12:00 is the number 720, to base 60, as to no one since: it is a clock, and stays a text.
_BASE_60 = ("tag:yaml.org,2002:str", re.compile(r"^[-+]?\d+(?::\d\d?)+(?:\.\d*)?$"))
_PlainLoader.yaml_implicit_resolvers = {
    first: [_BASE_60, *resolvers] for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(source: str | Path) -> Any:
    """Return what a YAML text, or a file of one, says.

    Raises
    ------
    yaml.YAMLError
        If it is none, holds an alias, is nested deeply or longer than 1 MiB, of which no more is read.
    OSError
        If a file cannot be read.
    """
    text = source if isinstance(source, str) else ""
    if isinstance(source, Path):
        if not source.is_file():
            raise yaml.YAMLError("it is no plain file")
        with source.open("rb") as file:
            raw = file.read(MOST_CHARACTERS + 1)
        try:
            text = raw.decode("utf-8", "strict" if len(raw) <= MOST_CHARACTERS else "replace")
        except UnicodeDecodeError as error:
            raise yaml.YAMLError(f"it is no UTF-8 text (byte {error.start + 1})") from None
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has more than the {MOST_CHARACTERS} characters that are read")
    try:
        return yaml.load(text, _PlainLoader)  # a SafeLoader, narrowed
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except ValueError as error:  # a date or a number that is none
        raise yaml.YAMLError(str(error)) from None


def shown(value: object) -> str:
    """Return the repr of a value, cut where it would fill a screen."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
