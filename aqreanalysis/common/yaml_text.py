"""YAML that a stranger may have written: no aliases, no depth, no size that a config or a grid never has."""

from __future__ import annotations

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


def read_yaml(text: str) -> Any:
    """Return what a YAML text says.

    Raises
    ------
    yaml.YAMLError
        If it is none, holds an alias, is nested deeply or longer than 1 MiB.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text)} characters, and at most {MOST_CHARACTERS} are read")
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
