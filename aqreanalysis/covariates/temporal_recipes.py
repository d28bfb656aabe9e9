"""What files hold, hour by hour: instants, means and sums -> a value for each hour, stamped at its END.

A *time step* is one map in a file: a GRIB message, or one time of a NetCDF variable. A *recipe* says of each hour which
time steps, with which weights, give its value, so everything below is bookkeeping and reads no map:

- an instant counts for the hour that ends with it;
- a mean counts for every hour of its period;
- a sum is broken up and becomes the amount of one hour. ERA5 sums the hour before the stamp. ERA5-Land sums from
  00 UTC, CAMS and other forecasts from the start of the run: then the sum of the step before is taken off;
- where several time steps give the same hour, the final issue goes before the early one (expver 0001 before 0005), the
  shorter period before the longer, analysis before forecast, and the latest run before earlier ones;
- between instants not more than `max_step_hours` apart the value is interpolated; a longer hole stays one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

INSTANT, MEAN, SUM = 0, 1, 2
COLUMNS = ("file", "where", "number", "run", "start", "end", "kind", "early", "forecast")


@dataclass(frozen=True)
class HourlyWeights:
    """How the hours of a field come from its time_steps.

    Attributes
    ----------
    hours : ndarray
        int64 (hour,), hours since 1970-01-01 UTC of the stamps, ascending, only those that can be had.
    weights : csr_array
        (hour, time step).
    bridged : int
        How many of the hours are interpolated in time.
    unusable : int
        Sums over a period that is too long to be spread, and cannot be broken up.
    """

    hours: NDArray[np.int64]
    weights: sp.csr_array
    bridged: int = 0
    unusable: int = 0

    def rows(self, hours: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the row of each hour asked for, and whether there is one."""
        if not self.hours.size:
            return np.zeros(hours.size, np.intp), np.zeros(hours.size, np.bool_)
        row = np.minimum(np.searchsorted(self.hours, hours), self.hours.size - 1)
        return row, self.hours[row] == hours

    @property
    def missing(self) -> NDArray[np.int64]:
        """Hours between the first and the last that cannot be had."""
        if not self.hours.size:
            return self.hours
        return np.setdiff1d(np.arange(self.hours[0], self.hours[-1] + 1), self.hours, assume_unique=True)


def make_hourly_weights(time_steps: pd.DataFrame, max_step_hours: int) -> HourlyWeights:
    """Return the hourly_weights of one field from its time steps (columns `COLUMNS`, index 0..n-1; hours as int64).

    The kind `SUM` with ``start == run`` and others of the same run that end earlier is broken up.
    """
    pieces = [_instants(time_steps), _means(time_steps)]
    sums, unusable = _sums(time_steps, max_step_hours)
    table = pd.concat([*pieces, sums], ignore_index=True)
    if table.empty:
        return HourlyWeights(np.empty(0, np.int64), sp.csr_array((0, len(time_steps))), 0, unusable)
    # The first row of each hour in this order is the one that is used.
    table = table.sort_values(["hour", "early", "length", "forecast", "lead", "time_step"], kind="stable")
    chosen = table.drop_duplicates("hour")
    bridges = _bridges(chosen, max_step_hours)
    entries = pd.concat([_entries(chosen), bridges], ignore_index=True)
    hours = np.unique(entries["hour"].to_numpy(np.int64))
    rows = np.searchsorted(hours, entries["hour"].to_numpy(np.int64))
    weights = sp.csr_array(
        (entries["weight"].to_numpy(np.float64), (rows, entries["time_step"].to_numpy(np.int64))),
        shape=(hours.size, len(time_steps)),
    )
    return HourlyWeights(hours, weights, int(bridges["hour"].nunique()), unusable)


def _candidates(time_steps: pd.DataFrame, first: NDArray[np.int64]) -> pd.DataFrame:
    """Return one row an hour of each time step, from the hour after `first` to its end."""
    counts = (time_steps["end"].to_numpy(np.int64) - first).clip(min=1)
    index = np.repeat(np.arange(len(time_steps)), counts)
    ends = time_steps["end"].to_numpy(np.int64)[index]
    offset = np.arange(index.size) - np.repeat(np.cumsum(counts) - counts, counts)
    picked = time_steps.iloc[index]
    return pd.DataFrame(
        {
            "hour": ends - (counts[index] - 1) + offset,
            "time_step": picked.index.to_numpy(),
            "before": -1,
            "weight": 1.0,
            "early": picked["early"].to_numpy(),
            "length": counts[index],
            "forecast": picked["forecast"].to_numpy(),
            "lead": ends - picked["run"].to_numpy(),
            "instant": picked["kind"].to_numpy() == INSTANT,
        }
    )


def _instants(time_steps: pd.DataFrame) -> pd.DataFrame:
    own = time_steps[time_steps["kind"] == INSTANT]
    return _candidates(own, np.asarray(own["end"], np.int64) - 1)


def _means(time_steps: pd.DataFrame) -> pd.DataFrame:
    own = time_steps[time_steps["kind"] == MEAN]
    return _candidates(own, np.asarray(own["start"], np.int64))


def _sums(time_steps: pd.DataFrame, max_step_hours: int) -> tuple[pd.DataFrame, int]:
    own = time_steps[time_steps["kind"] == SUM].sort_values(["early", "run", "start", "end"], kind="stable")
    own = own.drop_duplicates(["early", "run", "start", "end"])
    before = own.index.to_series().groupby([own["early"], own["run"], own["start"]]).shift(1)
    earlier = own["end"].groupby([own["early"], own["run"], own["start"]]).shift(1)
    first = earlier.fillna(own["start"]).astype(np.int64)
    usable = (own["end"] - first) <= max_step_hours
    unusable = int((~usable).sum())
    own, first, before = own[usable], first[usable], before[usable]
    table = _candidates(own, np.asarray(first, np.int64))
    position = pd.Series(before.fillna(-1).astype(np.int64).to_numpy(), index=own.index)
    table["before"] = position.reindex(table["time_step"]).to_numpy()
    table["weight"] = 1.0 / table["length"]
    return table, unusable


def _entries(chosen: pd.DataFrame) -> pd.DataFrame:
    plus = chosen[["hour", "time_step", "weight"]]
    broken = chosen[chosen["before"] >= 0]
    minus = pd.DataFrame({"hour": broken["hour"], "time_step": broken["before"], "weight": -broken["weight"]})
    return pd.concat([plus, minus], ignore_index=True)


def _bridges(chosen: pd.DataFrame, max_step_hours: int) -> pd.DataFrame:
    """Return the entries of the hours between two instants that are near enough."""
    instants = chosen[chosen["instant"]]
    hours, time_steps = instants["hour"].to_numpy(np.int64), instants["time_step"].to_numpy(np.int64)
    taken = set(chosen["hour"].tolist())
    gap = np.diff(hours)
    rows: list[tuple[int, int, float]] = []
    for index in np.flatnonzero((gap > 1) & (gap <= max_step_hours)):
        for step in range(1, int(gap[index])):
            hour, share = int(hours[index]) + step, step / float(gap[index])
            if hour not in taken:
                rows += [(hour, int(time_steps[index]), 1.0 - share), (hour, int(time_steps[index + 1]), share)]
    return pd.DataFrame(rows, columns=["hour", "time_step", "weight"]).astype({"hour": np.int64, "time_step": np.int64})
