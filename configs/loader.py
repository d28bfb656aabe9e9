"""Named or user-written YAML -> a validated `Config`, with ``section.key=value`` overrides on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from aqreanalysis.common.yaml_text import read_yaml, shown
from aqreanalysis.configs.models import Config
from aqreanalysis.errors import ConfigError, in_one_line, nearest_hint, wrong_type


def list_configs() -> list[str]:
    """Return the names of the configs that the package carries, sorted.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> "aqnet" in aq.list_configs()
    True
    """
    files = resources.files("aqreanalysis.configs").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def load_config(source: str | Path | Mapping[str, Any] | Config | None = None, overrides: Iterable[str] = ()) -> Config:
    """Return the validated config.

    Parameters
    ----------
    source : str, Path, mapping, Config or None
        Name of a packaged config, path of a YAML file, a mapping, a config to change, or None for ``aqnet``.
    overrides : iterable of str
        ``section.key=value`` with a YAML value, applied in order.

    Raises
    ------
    ConfigError
        Unknown name or key (with the nearest known one), a value of the wrong type or out of range.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> aq.load_config("aqnet", ["training.epochs=3"]).training.epochs
    3
    >>> aq.load_config({"species": ["no2"]}).species
    ['no2']
    """
    if isinstance(source, Config):
        source = source.model_dump(mode="json")
    if not isinstance(source, str | Path | Mapping | None) or source == "":
        give = f"a Config, a mapping, the path of a YAML file, or a name: {', '.join(list_configs())}"
        raise wrong_type("config", source, give)
    if isinstance(overrides, str) or not isinstance(overrides, Iterable):
        raise wrong_type("overrides", overrides, "a list of texts such as training.epochs=20")
    where = "the given mapping" if isinstance(source, Mapping) else str(source or "aqnet")
    raw = dict(source) if isinstance(source, Mapping) else _read(str(source or "aqnet"))
    for text in overrides:
        if not isinstance(text, str):
            raise wrong_type("overrides", text, "texts such as training.epochs=20")
        _override(raw, text)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"config {where}: {_first_problem(error)}") from None


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"no config file {source!r}; packaged configs are {', '.join(list_configs())}")
        text: str | Path = path
    else:
        if source not in list_configs():
            hint = nearest_hint(source, list_configs())
            raise ConfigError(f"no config named {source!r}; there are {', '.join(list_configs())}{hint}")
        text = (resources.files("aqreanalysis.configs") / f"{source}.yaml").read_text(encoding="utf-8")
    try:
        raw = read_yaml(text) or {}
    except OSError as error:
        raise ConfigError(f"config {source} cannot be read: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"config {source}: not YAML: {in_one_line(error)}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"config {source}: expected sections and keys, found {type(raw).__name__}")
    return raw


def _override(raw: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r}: write section.key=value, for example training.epochs=20")
    try:
        # A shell takes the quotes off '*' (every column) and '%d/%m/%Y' (a pattern), which are no YAML without them.
        parsed = value if value.strip() == "*" or value.startswith("%") else read_yaml(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text!r}: {value!r} is not a YAML value") from None
    *sections, last = key.strip().split(".")
    node = raw
    for section in sections:
        child = node.get(section)
        node[section] = dict(child) if isinstance(child, dict) else {}
        node = node[section]
    node[last] = parsed


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return f"unknown key {path!r}{nearest_hint(str(first['loc'][-1]), known)}"
    return f"{path} = {shown(first.get('input'))}: {first['msg']}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
