"""What is in station files: the guess of their format with its reason, and what reading them found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.formats.registry import list_formats
from aqreanalysis.observations.kinds_from_record import FEWEST_STATIONS, kinds_from_record
from aqreanalysis.observations.readers import PathLike, ReadOptions, discover, read_observations

# Stations that are named as suspicious, at most.
NAMED = 10
# A station is suspicious if so many times as large a share of its readings is flagged as of all, and so many in all.
SUSPICIOUS_RATIO, SUSPICIOUS_SHARE = 10.0, 0.02


def check_observations(
    path: PathLike | Sequence[PathLike],
    columns: ColumnsConfig | None = None,
    options: ReadOptions | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what is in station files, as JSON can hold it.

    Parameters
    ----------
    path, columns, options, progress
        As of `read_observations`.

    Returns
    -------
    dict
        ``files`` (name, format and reason of the first of each format), ``format``, ``stations``, ``first``, ``last``
        (stamps, UTC), ``step_minutes``, ``species`` (per pollutant: readings, missing, flagged by test), ``suspicious``
        (stations with an unusual share of flagged readings), ``report`` (sentences) and ``warnings``.

    Raises
    ------
    ObservationsError
        As `read_observations`.
    """
    chosen, how = columns or ColumnsConfig(), options or ReadOptions()
    discovered = discover(path, chosen, how)
    observations = read_observations(path, chosen, how, progress=progress)
    summary = observations.summary()
    files = [(source.name, form.name, reason) for source, form, reason in discovered.files]
    if discovered.netcdf is not None:
        files = [(discovered.netcdf.name, "netcdf", "it is the CF NetCDF of this program")]
    averaged = observations.report.counts.get("hours_averaged", 0)
    return {
        "files": len(files),
        "format": files[0][1],
        "reason": files[0][2],
        "title": next((form.title for form in list_formats() if form.name == files[0][1]), "CF NetCDF of this program"),
        "stations": summary["stations"],
        "cities": summary["cities"],
        **{name: summary[name] for name in ("kinds", "networks") if name in summary},
        **_looks(observations),
        "box": summary["box"],
        "first": summary["first"],
        "last": summary["last"],
        "hours": summary["hours"],
        "step": "less than an hour, averaged" if averaged else "an hour",
        "species": summary["species"],
        "suspicious": suspicious(observations),
        "report": observations.report.lines(),
        "warnings": list(observations.report.warnings),
        "digest": summary["digest"],
    }


def _looks(observations: Observations) -> dict[str, dict[str, int]]:
    """Return how many stations look like which kind where none is told, if the record is long and wide enough."""
    if observations.kinds is not None or len(observations.stations) < FEWEST_STATIONS:
        return {}
    kinds = dict(Counter(sorted(kinds_from_record(observations))))
    return {"kinds_by_record": kinds} if set(kinds) - {""} else {}


def suspicious(observations: Observations) -> list[dict[str, Any]]:
    """Return the stations that have an unusual share of flagged readings of a pollutant, the worst first."""
    out: list[dict[str, Any]] = []
    good = [int(flag) for flag in (*USABLE, Flag.MISSING)]
    for key in observations.species:
        counts = observations.flag_counts(key)
        readings = counts.sum(axis=0) - counts[Flag.MISSING]
        bad = counts.sum(axis=0) - counts[good].sum(axis=0)
        usual = bad.sum() / max(readings.sum(), 1)
        share = bad / np.maximum(readings, 1)
        for i in np.flatnonzero((share > SUSPICIOUS_SHARE) & (share > SUSPICIOUS_RATIO * usual)):
            worst = counts[:, i].copy()
            worst[good] = 0
            out.append(
                {
                    "station": observations.stations[i],
                    "species": key,
                    "flagged_percent": round(100.0 * float(share[i]), 2),
                    "mostly": Flag(int(worst.argmax())).name.lower(),
                }
            )
    return sorted(out, key=lambda each: -float(each["flagged_percent"]))[:NAMED]
