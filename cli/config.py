"""``aqreanalysis config keys [BEGINNING]`` and ``aqreanalysis config show [CONFIG]``."""

from __future__ import annotations

import click

from aqreanalysis.cli import options, types
from aqreanalysis.cli.log import say


@click.group()
def config() -> None:
    """Say what can be configured, or show a config whole."""


@config.command("keys")
@click.argument("beginning", default="")
@options.json_option
def keys_command(beginning: str, as_json: bool) -> None:
    """List the keys that --config and --set take: meaning, values, default, unit.

    BEGINNING: those that begin so, for example training. or production.keepbits
    """
    from dataclasses import asdict

    from aqreanalysis.cli.printing import print_json, print_pairs
    from aqreanalysis.configs import config_keys
    from aqreanalysis.errors import ConfigError, nearest_hint

    every = list(config_keys())
    chosen = [key for key in every if key.name.startswith(beginning)]
    if not chosen:
        raise ConfigError(
            f"no key of a config begins with {beginning!r}{nearest_hint(beginning, [key.name for key in every])}; "
            "'aqreanalysis config keys' lists them all"
        )
    if as_json:
        print_json([asdict(key) for key in chosen])
        return
    for key in chosen:
        unit = f", {key.unit}" if key.unit else ""
        print_pairs([(key.name, f"{key.default or '-'}   ({key.values}{unit})")])
        if key.meaning:
            say(f"    {key.meaning}")


@config.command("show")
@click.argument("source", metavar="[CONFIG]", default="aqnet", type=types.Suggested("config", types.config_names))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="change one value; may be repeated")
@options.json_option
def show_command(source: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show a config as a run would take it, every default said: a name or a YAML file."""
    import yaml

    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.configs import load_config

    whole = load_config(source, overrides).model_dump(mode="json")
    if as_json:
        print_json(whole)
        return
    say(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100), nl=False)
