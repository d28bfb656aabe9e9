"""Which kind of station a record looks like, where no list says it: by its days, its weekends and its hours.

After Joly and Peuch (2012, doi:10.1016/j.atmosenv.2011.11.025), who sort stations by their behaviour alone, pollutant
by pollutant: traffic shows in the range of the mean day and in the difference between working days and weekends, a
works in sudden hours. A level says little, since background differs more from town to town than a street from its town.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.netcdf_reader import read_netcdf
from aqreanalysis.observations.station_kinds import BACKGROUND, INDUSTRIAL, TRAFFIC

Floats = NDArray[np.floating[Any]]

#: A station needs so many days with readings; two weekends say nothing of a third.
FEWEST_DAYS = 28
#: Less than this and there is no network that a station could differ from.
FEWEST_STATIONS = 8
# Of what a kind's stations are like, in spreads of the network (`Behaviour.scores`): linear discriminants against
# background, weights of day, weekend and hours, then the constant. Fitted by `benchmarks/station_kinds.py` to seeds of
# the nature run, and told there at others.
_DISCRIMINANTS = {TRAFFIC: (1.96, 1.19, 0.89, -5.25), INDUSTRIAL: (-1.31, 0.56, 4.71, -26.16)}
# Streets and works have more of all three than background has: the lower half of the network is background, and tells
# its middle and its spread. What a normal distribution has between the two.
_MIDDLE, _LOW, _BETWEEN = 1 / 3, 1 / 12, 0.9523
# A spread smaller than this would make much of rounding.
_LEAST_SPREAD = 1e-3
_SECOND_OF_WEEKEND = 6


@dataclass(frozen=True)
class Behaviour:
    """How the readings of a pollutant go at each station, each float64 (station,); NaN where too few days tell.

    Attributes
    ----------
    day
        Logarithm of the range of the mean day over its mean.
    weekend
        How much less there is at weekends, as a share; of ozone how much more, since it is what traffic takes away.
    hours
        Logarithm of the mean absolute change from hour to hour over the mean, the largest changes counting most.
    """

    day: Floats
    weekend: Floats
    hours: Floats

    @classmethod
    def of(cls, key: str, values: Floats, hours: NDArray[np.int64], lon: Floats) -> Behaviour:
        """Return that of the readings (hour, station) of a pollutant, with stamps at their ends and degrees east."""
        local = (hours - 1)[:, None] + np.round(lon / 15.0).astype(np.int64)
        few = np.isfinite(values).sum(axis=0) < 24 * FEWEST_DAYS
        values = np.where(few, np.nan, values.astype(np.float64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a station without readings has no mean, and stays NaN
            mean = np.nanmean(values, axis=0)
            clock, at_weekend = local % 24, (local // 24 + 3) % 7 >= _SECOND_OF_WEEKEND - 1
            by_hour = np.stack([np.nanmean(np.where(clock == hour, values, np.nan), axis=0) for hour in range(24)])
            weekend = np.nanmean(np.where(at_weekend, values, np.nan), axis=0)
            working = np.nanmean(np.where(at_weekend, np.nan, values), axis=0)
            sudden = np.sqrt(np.nanmean(np.diff(values, axis=0) ** 2, axis=0))
            day = np.log((by_hour.max(axis=0) - by_hour.min(axis=0)) / mean)
            change = np.log(sudden / mean)
        return cls(day, (1.0 if key == "o3" else -1.0) * (weekend - working) / mean, change)

    def scores(self) -> Floats:
        """Return day, weekend and hours as deviations from the network's background in its spreads (station, 3)."""
        parts = np.stack([self.day, self.weekend, self.hours], axis=1)
        parts = np.where(np.isfinite(parts), parts, np.nan)
        if np.isnan(parts).all():
            return parts
        middle, low = np.nanquantile(parts, (_MIDDLE, _LOW), axis=0)
        return np.asarray((parts - middle) / np.maximum((middle - low) / _BETWEEN, _LEAST_SPREAD))


def mean_scores(observations: Observations) -> Floats:
    """Return the scores of `Behaviour` averaged over the pollutants of each station (station, 3).

    NaN where no pollutant has `FEWEST_DAYS` days.

    Raises
    ------
    ObservationsError
        If there are fewer than `FEWEST_STATIONS` stations.
    """
    if len(observations.stations) < FEWEST_STATIONS:
        raise ObservationsError(
            f"{len(observations.stations)} stations are too few to tell their kinds from the record: at least "
            f"{FEWEST_STATIONS} are needed; give kinds in a column (columns.kind) or in a station list"
        )
    parts = [
        Behaviour.of(key, observations.values(key), observations.hours, observations.lon).scores()
        for key in observations.species
        if np.isfinite(observations.values(key)).any()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(np.stack(parts), axis=0))


def keep_kinds(path: Path) -> dict[str, int]:
    """Write into a NetCDF of records the kinds that its stations look like where none is told; return their counts.

    Raises
    ------
    ObservationsError
        As of `mean_scores`, or as `read_netcdf`.
    """
    observations = read_netcdf(path)
    looks = kinds_from_record(observations)
    kinds = [stated or look for stated, look in zip(observations.kinds or [""] * len(looks), looks, strict=True)]
    labelled = observations.dataset.assign_coords(kind=("station", np.array(kinds, dtype=object)))
    Observations(labelled, observations.report).to_netcdf(path, overwrite=True)
    return dict(Counter(sorted(looks)))


def kinds_from_record(observations: Observations) -> list[str]:
    """Return the kind that each station's record looks like, an empty text where it is too short to tell.

    Raises
    ------
    ObservationsError
        As of `mean_scores`.
    """
    scores = mean_scores(observations)
    against = {kind: scores @ np.array(weights[:3]) + weights[3] for kind, weights in _DISCRIMINANTS.items()}
    ahead = np.where(against[TRAFFIC] >= against[INDUSTRIAL], TRAFFIC, INDUSTRIAL)
    kinds = np.where(np.maximum(*against.values()) > 0, ahead, BACKGROUND)
    return [str(kind) if np.isfinite(own).all() else "" for kind, own in zip(kinds, scores, strict=True)]
