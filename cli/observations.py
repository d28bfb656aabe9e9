"""``aqreanalysis observations import|check|formats``: station files of any known format."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import early, options, types
from aqreanalysis.cli.log import say

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.observations import ReadOptions


@click.group()
def observations() -> None:
    """Read station files as networks publish them: import, check, or list the formats."""


def _reads(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make of ``run(paths, config, how, as_json, ...)`` a command that takes PATHS, how to read them, and a config.

    `example` is what the help of ``--set`` shows.
    """

    def make(run: Callable[..., None]) -> Callable[..., None]:
        @wraps(run)
        def command(
            paths: tuple[str, ...],
            format_name: str | None,
            station_lists: tuple[str, ...],
            skip_broken: bool,
            config_source: str | None,
            overrides: tuple[str, ...],
            **chosen: Any,
        ) -> None:
            if "out" in chosen:
                early.check_export(Path(chosen["out"]), (".nc", ".nc4"), chosen["overwrite"])
            config = options.load_part_config(config_source, overrides, ("columns", "quality"))
            run(list(paths), config, options.read_options(config, format_name, station_lists, skip_broken), **chosen)

        command = options.config_options("aqnet", example)(options.json_option(command))
        return click.argument("paths", nargs=-1, required=True, type=types.Records())(options.reading_options(command))

    return make


@observations.command("import")
@_reads("columns.repeats=last or quality.tests=[negative]")
@click.option("--out", required=True, type=click.Path(), help="The CF NetCDF to write.")
@click.option(
    "--kinds-from-record",
    is_flag=True,
    help="Where no list tells a station's kind (background, traffic, industrial), keep the one that its record looks "
    "like.",
)
@options.overwrite_option
def import_command(
    paths: list[str],
    config: Config,
    how: ReadOptions,
    as_json: bool,
    out: str,
    kinds_from_record: bool,
    overwrite: bool,
) -> None:
    """Import files, folders and zip archives into one CF NetCDF, in blocks of time: memory never holds all of it.

    \b
    aqreanalysis observations import china/2019 --stations stations.csv --out obs.nc
    aqreanalysis observations import hourly_88101_2019.zip hourly_44201_2019.zip --format aqs --out obs.nc
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.observations import import_observations

    with progress_shown("importing") as progress:
        report = import_observations(paths, out, config.columns, how, overwrite=overwrite, progress=progress)
    for line in report.lines():
        say(line, err=True)
    if kinds_from_record:
        from aqreanalysis.observations.kinds_from_record import keep_kinds

        counts = ", ".join(f"{count} {kind or 'too short'}" for kind, count in keep_kinds(Path(out)).items())
        say(f"kinds by the stations' records: {counts}", err=True)
    if as_json:
        print_json(
            {
                "file": out,
                "rows": report.rows,
                "readings": report.readings,
                "flagged": report.flagged,
                "left_out": report.counts,
                "warnings": report.warnings,
            }
        )
        return
    say(f"observations: {out}")


@observations.command("check")
@_reads("columns.time_zone=Asia/Shanghai")
def check_command(paths: list[str], config: Config, how: ReadOptions, as_json: bool) -> None:
    """Say what is in files: format and why, stations, span, step, pollutants, missing, suspicious."""
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.errors import ObservationsError
    from aqreanalysis.observations import check_observations

    try:
        with progress_shown("reading") as progress:
            facts = check_observations(paths, config.columns, how, progress=progress)
    except ObservationsError:
        for line in _proposed(paths, config):
            say(line)
        raise
    if as_json:
        print_json(facts)
        return
    for line in _lines(facts):
        say(line)


@observations.command("formats")
@options.json_option
def formats_command(as_json: bool) -> None:
    """List the formats, what each is, and where its layout is described."""
    from aqreanalysis.cli.printing import print_json, print_pairs
    from aqreanalysis.observations import list_formats

    known = sorted(list_formats(), key=lambda each: each.name)
    if as_json:
        print_json([{"name": f.name, "title": f.title, "document": f.document} for f in known])
        return
    print_pairs([(f.name, f"{f.title}{', needs --stations' if f.needs_stations else ''}") for f in known])


def _proposed(paths: list[str], config: Config) -> list[str]:
    """Return the mapping that a file which cannot be read seems to need, ready to be saved; empty for several files."""
    from aqreanalysis.observations.propose import propose_columns

    lines = propose_columns(paths[0], config.columns) if len(paths) == 1 else []
    return (
        ["# proposed: check it, save it as columns.yaml, and read with --config columns.yaml", *lines] if lines else []
    )


def _lines(facts: dict[str, Any]) -> list[str]:
    """Return what `check_observations` found as text."""
    box = facts["box"]
    lines = [
        f"format    {facts['format']}: {facts['title']} ({facts['reason']}; files: {facts['files']})",
        f"stations  {facts['stations']}, lat {box['south']:g} to {box['north']:g}, "
        f"lon {box['west']:g} to {box['east']:g}",
        f"span      {facts['hours']} hours, stamped {facts['first']} to {facts['last']} (UTC, end of the hour)",
        f"step      {facts['step']}",
    ]
    for name in ("kinds", "networks"):
        if name in facts:
            counts = ", ".join(f"{count} {word or 'not told'}" for word, count in facts[name].items())
            lines.append(f"{name:<9} {counts}")
    if "kinds_by_record" in facts:
        counts = ", ".join(f"{count} {word or 'cannot be told'}" for word, count in facts["kinds_by_record"].items())
        lines.append(f"kinds     not told; by their records {counts} ('import --kinds-from-record' keeps them)")
    for key, each in facts["species"].items():
        flagged = {name: n for name, n in each["flagged"].items() if n}
        bad = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in flagged.items()) or "none flagged"
        lines.append(
            f"{key:<9} {each['usable']} usable at {each['stations']} stations, {each['missing_percent']:g} % missing, "
            f"mean {each['mean']} max {each['max']} {each['units']}; {bad}"
        )
    lines += [
        f"suspicious: {each['station']} {each['species']}: {each['flagged_percent']:g} % of its readings flagged, "
        f"mostly {each['mostly'].replace('_', ' ')}"
        for each in facts["suspicious"]
    ]
    return lines + facts["report"]
