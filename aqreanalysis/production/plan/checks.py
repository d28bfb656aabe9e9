"""What is refused before a run: pollutants that do not meet, a grid that no station is near."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aqreanalysis.common.geodesy import nearest_point
from aqreanalysis.common.hours import stamp_text
from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.inputs import HourSpan
from aqreanalysis.species import get_species, in_order

# Cells looked at together: most grids have a cell near a station in the first of them.
_CELLS = 250_000


def choose_species(predictor: Predictor, observations: Observations, options: ProduceOptions) -> tuple[str, ...]:
    """Return the pollutants to estimate, in the order of `SPECIES`.

    Raises
    ------
    ModelError
        If the model does not estimate a wanted one, or the observations lack it.
    ConfigError
        If a threshold is given for a pollutant that is not estimated.
    """
    able, known = tuple(predictor.species), tuple(observations.species)
    wanted = in_order(able if options.species is None else options.species)
    if not wanted:
        raise ModelError(f"no pollutant is wanted; the model estimates {', '.join(able)}")
    for key in wanted:
        if key not in able:
            raise ModelError(f"the model does not estimate {key}; it estimates {', '.join(able)}")
    if not set(wanted) & set(known):
        raise ModelError(
            f"no common pollutant: {', '.join(wanted)} wanted of the model, {', '.join(known)} in the observations; "
            "take another model or other observations"
        )
    lacking = [key for key in wanted if key not in known]
    if lacking:
        rest = ", ".join(key for key in wanted if key in known)
        raise ModelError(
            f"the observations have no {', '.join(lacking)}, which the model estimates; ask for species {rest} only"
        )
    for key in options.thresholds:
        if get_species(key).key not in wanted:
            raise ConfigError(f"a threshold is given for {key}, which is not estimated here ({', '.join(wanted)})")
    return wanted


def check_reporting(observations: Observations, species: Sequence[str], observed: Iterable[str]) -> None:
    """Refuse observations that cannot say anything between stations.

    Parameters
    ----------
    observations : Observations
        Station records.
    species : sequence of str
        Pollutants wanted.
    observed : iterable of str
        Pollutants with a usable reading.

    Raises
    ------
    ObservationsError
        If there is a single station, or a wanted pollutant has no usable reading at any.
    """
    count = len(observations.stations)
    if count < 2:
        raise ObservationsError(f"the observations hold {count} station; a map needs at least 2 stations: bring more")
    silent = in_order(set(species) - set(observed))
    if silent:
        rest = ", ".join(key for key in species if key in observed)
        way = f"ask for species {rest} only" if rest else "bring observations that measure it"
        raise ObservationsError(f"the observations hold no usable reading of {', '.join(silent)}; {way}")


def check_grid_reach(grid: Grid, observations: Observations, limit_km: float) -> None:
    """Refuse a grid that lies far from every station.

    Raises
    ------
    OutputError
        If no wanted cell is within `limit_km` of a station.
    """
    stations = np.asarray(observations.lat), np.asarray(observations.lon)
    wanted = np.arange(grid.size) if grid.mask is None else np.flatnonzero(grid.mask)
    best = np.inf
    for begin in range(0, wanted.size, _CELLS):
        rows, columns = np.divmod(wanted[begin : begin + _CELLS], grid.shape[1])
        best = min(best, float(nearest_point(*stations, grid.lat[rows], grid.lon[columns])[1].min()))
        if best <= limit_km:
            return
    raise OutputError(
        f"grid {grid.name} is far from every station: the nearest of its cells is {best:.0f} km away, "
        f"production.max_distance_km is {limit_km:g}; check that the grid and the stations are of the same region"
    )


def missing_hours(predictor: Predictor, span: HourSpan) -> dict[str, int]:
    """Return by field how many hours of the span the files do not have; only fields that change by the hour.

    Raises
    ------
    ModelError
        If a field has none of them: the model would run on nothing.
    """
    source = predictor.covariates
    if source is None:
        return {}
    wanted = np.arange(span.first_hour, span.first_hour + span.hours, dtype=np.int64)
    missing = {key: int((~np.isin(wanted, source.hours(key))).sum()) for key in source.hourly}
    empty = [key for key, count in missing.items() if count == len(wanted)]
    if empty:
        raise ModelError(
            f"no {', '.join(empty)} among the covariates between {_hour_text(wanted[0])} and {_hour_text(wanted[-1])}, "
            f"which the run reads; the model was trained with {'it' if len(empty) == 1 else 'them'}: give the files "
            "of these hours with --covariates"
        )
    return missing


def covariates_text(predictor: Predictor, span: HourSpan) -> dict[str, str]:
    """Return the attribute of a cube that names its covariates and counts their missing hours; none without any."""
    source = predictor.covariates
    if source is None:
        return {}
    gaps = [f"{key} {count}" for key, count in missing_hours(predictor, span).items() if count]
    missing = f"; hours without a value, of {span.hours} read: {', '.join(gaps)}" if gaps else ""
    return {"covariates": f"{', '.join(source.fields)}, sha256 {source.digest()}{missing}"}


def _hour_text(hour: np.int64) -> str:
    return f"{stamp_text(hour)[:13]} UTC"
