"""Winds along the rows and columns of a grid -> to the east and to the north."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.covariates.curvilinear import CurvilinearGrid
from aqreanalysis.covariates.gridded import MapReader, Variable
from aqreanalysis.covariates.interpolation import HorizontalGrid, Stencil
from aqreanalysis.errors import CovariatesError

_U, _V = "u10", "v10"
#: Columns of time steps that both components must share.
_SAME = ["run", "start", "end", "kind", "early", "forecast"]


@dataclass(frozen=True)
class TurnedMaps:
    """Values of one component, made of both along the grid.

    Attributes
    ----------
    own, other : MapReader
        Of this component, and of the other one.
    others : DataFrame
        Time steps of the other component, in the order of this one's.
    of_own, of_other : ndarray
        float32 (row, column): what each counts at a point.
    """

    own: MapReader
    other: MapReader
    others: pd.DataFrame
    of_own: NDArray[np.float32]
    of_other: NDArray[np.float32]

    def read(self, time_steps: pd.DataFrame, stencil: Stencil, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values of time steps at the points, float32 (time step, point)."""
        beside = self.others.loc[time_steps.index]
        order = np.lexsort((beside["where"].to_numpy(), beside["file"].to_numpy()))
        other = np.empty((len(time_steps), stencil.points.size), np.float32)
        other[order] = self.other.read(beside.iloc[order], stencil, shape)
        at = stencil.positions
        return self.own.read(time_steps, stencil, shape) * self.of_own[at] + other * self.of_other[at]

    def name(self, time_step: pd.Series) -> str:
        """Return where a time step is read."""
        return self.own.name(time_step)


def turn_winds(variables: dict[str, Variable], grid: HorizontalGrid, where: str) -> dict[str, Variable]:
    """Return the variables with the wind at 10 m, which is along the grid, turned to the east and to the north.

    Raises
    ------
    CovariatesError
        If one of the two components is not there, or not for the same hours.
    """
    if not isinstance(grid, CurvilinearGrid):
        return variables
    lacking = [key for key in (_U, _V) if key not in variables]
    if lacking:
        raise CovariatesError(
            f"{where}: the wind is along the grid, and to turn it east and north {lacking[0]} is needed too: give the "
            "file that holds it"
        )
    u, v = variables[_U], variables[_V]
    if u.conversion != v.conversion or not np.array_equal(u.time_steps[_SAME], v.time_steps[_SAME]):
        raise CovariatesError(
            f"{where}: u10 and v10 along the grid are not of the same hours and units; make them alike"
        )
    cosine, sine = grid.turned()
    east = TurnedMaps(u.maps, v.maps, v.time_steps, cosine, -sine)
    north = TurnedMaps(v.maps, u.maps, u.time_steps, cosine, sine)
    note = "turned from the grid's directions"
    return {**variables, _U: replace(u, maps=east, note=note), _V: replace(v, maps=north, note=note)}
