"""``aqreanalysis info PATH``: what a cube, a model bundle or an observations file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import options
from aqreanalysis.cli.cube_options import CubePlace, tell_fetch
from aqreanalysis.cli.log import say
from aqreanalysis.errors import CubeError

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath
    from aqreanalysis.configs import Config


@click.command(short_help="What a cube, a model or an observations file holds.")
@click.argument("path", type=CubePlace())
@options.config_options("aqnet", "columns.lat=latitude")
@options.json_option
def info(path: Path | RemotePath, config_source: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what is in PATH: a cube (.nc, .zarr, a path or URL), a model bundle (a folder) or an observations file."""
    if not isinstance(path, Path):
        tell_fetch(path)
        _show(*describe_cube(path), as_json)
        return
    if not path.exists():
        raise CubeError(f"nothing at {str(path)!r}: give a cube, a model bundle or an observations file")
    if path.is_dir() and path.suffix != ".zarr":
        facts, lines = describe_model(path)
    elif path.suffix == ".zarr" or (path.suffix == ".nc" and not _holds_stations(path)):
        facts, lines = describe_cube(path)
    else:
        facts, lines = describe_observations(path, options.load_part_config(config_source, overrides, ("columns",)))
    _show(facts, lines, as_json)


def _show(facts: dict[str, Any], lines: list[str], as_json: bool) -> None:
    from aqreanalysis.cli.printing import print_json

    if as_json:
        print_json(facts)
        return
    for line in lines:
        say(line)


def _holds_stations(path: Path) -> bool:
    """Say whether a NetCDF file is a collection of time series at stations (CF discrete sampling geometry)."""
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            return str(getattr(file, "featureType", "")).lower() == "timeseries"
    except OSError as error:
        raise CubeError(f"{path} is not a NetCDF file that can be read ({error.strerror or error})") from None


def describe_cube(path: Path | RemotePath) -> tuple[dict[str, Any], list[str]]:
    """Return what a cube holds, and the lines that say it."""
    from aqreanalysis.cli.printing import human_size
    from aqreanalysis.production import describe_cube as describe
    from aqreanalysis.production.plan.timeline import FREQUENCIES

    facts = describe(str(path))
    rows, columns = facts["shape"][1:]
    period = FREQUENCIES[facts["frequency"]].period
    size = "of a size that the server does not say" if facts["bytes"] is None else human_size(facts["bytes"])
    lines = [
        f"cube     {path} ({facts['format']}, {size})",
        f"title    {facts.get('title', '(none)')}",
        f"{period + 's':<8} {facts['steps']}, stamped {facts['first']} to {facts['last']} (UTC, "
        f"{facts['stamp'] or 'some moment'} of the {period})",
        f"grid     {rows} x {columns} cells, lat {facts['south']:g} to {facts['north']:g}, "
        f"lon {facts['west']:g} to {facts['east']:g}",
        "layers",
    ]
    lines += [
        f"  {name}: {layer['long_name']}{' [' + layer['units'] + ']' if layer['units'] else ''}"
        for name, layer in facts["layers"].items()
    ]
    if facts["conventions"] == "1":
        lines.append("conventions: 1, of an older version of this program: stamps at the end, no statistic said")
    lines += [f"{name}: {facts[name]}" for name in ("comment", "source", "history") if name in facts]
    return facts, lines


def describe_model(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a model bundle holds, every file of it checked, and the lines that say it."""
    from aqreanalysis.model.bundle import read_bundle, static_fields_lines

    bundle = read_bundle(path)
    roles = {str(role): int(n) for role, n in bundle.stations["role"].value_counts().items()}
    facts = {
        "path": path,
        "kind": "model",
        "digest": bundle.digest,
        "species": bundle.config.species,
        "inputs": bundle.config.inputs,
        "members": len(bundle.members),
        "parameters": sum(tensor.numel() for tensor in bundle.members[0].values()),
        "stations": roles,
        "provenance": bundle.provenance,
        "drift": bundle.drift.to_dict() if bundle.drift is not None else None,
        "crowding": bundle.crowding.to_dict() if bundle.crowding is not None else None,
        "metrics": bundle.metrics,
    }
    lines = [
        f"model     {path}",
        f"digest    {bundle.digest}",
        f"estimates {', '.join(bundle.config.species)}",
        f"reads     {', '.join(bundle.config.inputs or [])}",
        f"stations  {', '.join(f'{n} {role}' for role, n in roles.items())}",
        f"size      {len(bundle.members)} network(s) of {facts['parameters']} parameters",
    ]
    lines += [f"{key}: {value}" for key, value in bundle.provenance.items() if isinstance(value, (str, int, float))]
    lines += [f"drift     {line}" for line in static_fields_lines(bundle)]
    return facts, [*lines, f"scores and limits: {path / 'MODEL_CARD.md'}"]


def describe_observations(path: Path, config: Config) -> tuple[dict[str, Any], list[str]]:
    """Return what an observations file holds, and the lines that say it."""
    from aqreanalysis.common.hours import HOUR
    from aqreanalysis.observations import read_observations

    observations = read_observations(path, config.columns)
    report = observations.report
    cells = len(observations.times) * len(observations.stations)
    usable = {key: report.readings[key] - sum(report.flagged[key].values()) for key in observations.species}
    facts = {
        "path": path,
        "kind": "observations",
        "digest": observations.digest(),
        "stations": len(observations.stations),
        "hours": len(observations.times),
        "start": observations.times[0] - HOUR,
        "first": observations.times[0],
        "last": observations.times[-1],
        "species": {
            key: {"readings": report.readings[key], "usable": usable[key], "flagged": report.flagged[key]}
            for key in observations.species
        },
        "left_out": report.counts,
        "warnings": report.warnings,
    }
    lines = [
        f"observations {path}",
        f"stations     {len(observations.stations)}, lat {observations.lat.min():g} to {observations.lat.max():g}, "
        f"lon {observations.lon.min():g} to {observations.lon.max():g}",
        f"hours        {len(observations.times)}, stamped {observations.times[0]:%Y-%m-%dT%H:%M} to "
        f"{observations.times[-1]:%Y-%m-%dT%H:%M} (UTC, end of the hour)",
    ]
    lines += [f"{key:<12} {usable[key]} usable readings, {usable[key] / cells:.0%}" for key in observations.species]
    return facts, [*lines, *report.lines()]
