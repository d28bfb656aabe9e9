"""Every key of a config with its meaning, its values, its default and its unit, read from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aqreanalysis.configs.models import Config

# The end of a key says its unit.
_UNITS = {
    "km": "km",
    "hours": "h",
    "days": "d",
    "minutes": "min",
    "celsius": "degree C",
    "hpa": "hPa",
    "seconds": "s",
    "degrees": "degree",
}


@dataclass(frozen=True)
class ConfigKey:
    """One key of a config.

    Attributes
    ----------
    name : str
        As ``--set`` takes it; ``NAME`` stands for a name that the user chooses.
    meaning : str
        What it says.
    values : str
        What it may be.
    default : str
        As YAML has it.
    unit : str
        Empty where it has none.
    """

    name: str
    meaning: str
    values: str
    default: str
    unit: str


def config_keys(model: type[BaseModel] = Config, before: str = "") -> Iterator[ConfigKey]:
    """Yield every key of a config, section by section, in the order of the models.

    Parameters
    ----------
    model : type
        A section, or the whole.
    before : str
        What stands before its keys, with the dot.

    Examples
    --------
    >>> keys = {key.name: key for key in config_keys()}
    >>> keys["split.cluster_km"].unit, keys["split.cluster_km"].default
    ('km', '25.0')
    """
    for name, field in model.model_fields.items():
        section, named = _section(field.annotation)
        if section is None:
            yield ConfigKey(before + name, field.description or "", _values(model, name), _default(field), _unit(name))
            continue
        if named or field.default is None:
            yield ConfigKey(before + name, field.description or "", "a section", _default(field), "")
        yield from config_keys(section, f"{before}{name}.{'NAME.' if named else ''}")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the section that a key holds, or None, and whether it holds several by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    inner = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return (inner[0], getattr(annotation, "__origin__", None) is dict) if inner else (None, False)


def _default(field: FieldInfo) -> str:
    """Return the default as YAML has it on one line."""
    value = field.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else json.dumps(value, ensure_ascii=False).strip('"')


def _unit(name: str) -> str:
    return _UNITS.get(name.rpartition("_")[2], "")


def _values(model: type[BaseModel], name: str) -> str:
    """Return what a key may be, from the schema of its section."""
    schema = model.model_json_schema()
    return _said(schema["properties"][name], schema.get("$defs", {}))


def _said(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _said(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return " or ".join(_said(one, definitions) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        inner = schema.get("items")
        return f"a list of {_said(inner, definitions)}" if inner else "a list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"names, each with {_said(inner, definitions)}" if isinstance(inner, dict) else "names and values"
    return _KINDS.get(kind, kind) + _bounds(schema)


_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}


def _bounds(schema: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[word]:g}" for word, sign in signs.items() if word in schema]
    return " " + ", ".join(bounds) if bounds else ""
