"""What the sums of a NetCDF variable run over: its file seldom says it, and its values nearly always do.

In a file of ERA5 they are of the hour before the stamp, in one of ERA5-Land they run from 00 UTC, of a forecast from
the start of its run, or from the step before. `covariates.accumulation=auto` looks at values: a sum that runs on never
falls until it begins anew, and rain does. `hourly` and `from-start` overrule what the file and its values say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.netcdf_times import MapVariable
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import SUM
from aqreanalysis.covariates.units import Conversion

#: A sum that runs on may fall by the rounding of packing, in mm.
_ROUNDING = 0.02
#: Points along an axis, and days or runs at a time, that are looked at to tell a sum that runs on from another.
_LOOK_POINTS, _LOOK_GROUPS = 24, 2
#: Rises that are seen, and no fall, before a sum is taken for one that runs on.
_ENOUGH_RISES = 200


@dataclass(frozen=True)
class Amounts:
    """The values of an accumulated variable: where each map is in them, and what makes millimetres of them."""

    array: xr.DataArray
    index: NDArray[np.int64]
    variable: MapVariable
    conversion: Conversion

    def some(self, maps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return some points of maps, mm, (map, point)."""
        outer, place = self.variable.outer, self.variable.place
        every = {dim: slice(None, None, max(1, self.array.sizes[dim] // _LOOK_POINTS)) for dim in place}
        picked = [dict(zip(outer, self.index[i].tolist(), strict=True)) for i in maps]
        values = [self.array.isel({**at, **every}).values.ravel() for at in picked]
        return np.stack(values).astype(np.float64) * self.conversion.factor


def set_sums(
    time_steps: pd.DataFrame, amounts: Amounts, config: CovariatesConfig, report: CovariatesReport, where: str
) -> None:
    """Make sums of the time steps of an amount, in place: kind, start and run.

    Parameters
    ----------
    time_steps : DataFrame
        As `time_steps_of` returns them.
    amounts : Amounts
    config : CovariatesConfig
    report : CovariatesReport
        Told what was found.
    where : str
        File and variable, for that.
    """
    end = time_steps["end"].to_numpy(np.int64)
    forecast = bool(time_steps["forecast"].any())
    time_steps["kind"] = SUM
    hours = re.search(r"_(\d+)hr?$", amounts.variable.name)
    if config.accumulation == "hourly":
        time_steps["start"] = end - 1
    elif config.accumulation == "auto" and time_steps["bounded"].all():
        pass  # the file says it
    elif config.accumulation == "auto" and hours is not None:
        time_steps["start"] = end - int(hours[1])
    else:
        origin = time_steps["run"].to_numpy(np.int64) if forecast else (end - 1) // 24 * 24
        runs_on = config.accumulation == "from-start" or _never_falls(time_steps, origin, amounts)
        if runs_on:
            time_steps["start"] = origin
        else:
            time_steps["start"] = _steps_before(end, origin) if forecast else end - 1
        if config.accumulation == "auto":
            since = "the start of the run" if forecast else "00 UTC"
            single = "the step before" if forecast else "the hour before"
            report.note(f"{where}: taken as sums since {since if runs_on else single}, by its values")
    if not forecast:
        time_steps["run"] = time_steps["start"]
    time_steps.drop(time_steps.index[time_steps["start"] >= time_steps["end"]], inplace=True)


def _steps_before(end: NDArray[np.int64], origin: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the end of the step before each in its run; the start of the run before the first."""
    order = pd.DataFrame({"end": end, "origin": origin}).sort_values(["origin", "end"])
    before = order.groupby("origin")["end"].shift(1).fillna(order["origin"]).astype(np.int64)
    return np.asarray(before.sort_index(), np.int64)


def _never_falls(time_steps: pd.DataFrame, origin: NDArray[np.int64], amounts: Amounts) -> bool:
    """Return whether the sums of each group (day or run) only ever rise. Where nothing rises it does not matter."""
    ordered = time_steps.assign(origin=origin).sort_values(["origin", "end"])
    groups, maps = (ordered[name].to_numpy(np.int64) for name in ("origin", "where"))
    rises = 0
    starts = np.unique(groups)
    for at in range(0, len(starts), _LOOK_GROUPS):
        look = np.isin(groups, starts[at : at + _LOOK_GROUPS])
        rise = np.diff(amounts.some(maps[look]), axis=0)[np.diff(groups[look]) == 0]
        if np.nanmin(rise, initial=np.inf) < -_ROUNDING:
            return False
        rises += int((rise > _ROUNDING).sum())
        if rises >= _ENOUGH_RISES:
            return True
    return rises > 0 or bool(time_steps["forecast"].any())
