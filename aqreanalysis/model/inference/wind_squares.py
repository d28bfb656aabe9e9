"""What the wind brings to the cells of a dense grid, square by square: `WindAdvection` in compiled loops.

The kriging system of the readings is one an hour and solved with the states of the stations; here each cell brings its
covariances with them. Squares are fixed on the Earth. Readings far from a square are summed at Chebyshev nodes inside
it, which stand so close, measured by the shorter range of the covariance, that cells are interpolated between them to
some 1e-4 of a standard deviation; readings near it are summed cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, KM_PER_DEGREE, Degrees, unit_vectors
from aqreanalysis.model.kernels import Array, average_sites, krige_advected
from aqreanalysis.model.network.covariate_effects import StationCovariates
from aqreanalysis.model.network.wind import BASE_KM, KNOWN_FEATURES, AdvectedReadings, WindAdvection

# Sides of a square in short ranges and, at most, in cells; nodes along a side. A square of fewer cells than twice its
# nodes is not worth any. Of what the wind brings in north China, in standard deviations, this leaves out 1e-5 in the
# median and 4e-4 at most; five nodes a side of half of that 1.5e-5 and 5e-4, four 8e-5 and 2e-3.
_SIDE_IN_RANGES = 3.4
_MOST_CELLS, _NODES_A_SIDE = 24, 6
# Readings nearer to the centre than this many half diagonals are summed cell by cell.
_NEAR = 1.6
# Cells that lie on the edge of a square belong to one, however their coordinates were rounded.
_ON_EDGE = 1e-6


@dataclass(frozen=True)
class WindSquare:
    """Cells that are interpolated between the same nodes.

    Attributes
    ----------
    places : int64 (place,)
        Which of the tile's.
    geometry : tuple of float32
        Cells, nodes, shares and centre, as of `krige_advected`.
    """

    places: NDArray[np.int64]
    geometry: tuple[Array, Array, Array, Array]


def wind_squares(flow: WindAdvection, lat: Degrees, lon: Degrees, steps: tuple[float, float]) -> list[WindSquare]:
    """Return the squares of some cells of a grid of `steps` degrees (lat, lon).

    They depend on the model and the steps of the grid alone, so a part of a grid has the numbers of the whole.
    """
    lon = (lon + 180.0) % 360.0 - 180.0
    widest = _SIDE_IN_RANGES * float(flow.log_range.detach().exp().min()) / KM_PER_DEGREE
    sides = [int(np.clip(widest / step + _ON_EDGE, 1, _MOST_CELLS)) for step in steps]
    interpolated = sides[0] * sides[1] >= 2 * _NODES_A_SIDE**2
    corner = np.column_stack(
        [np.floor(x / step + _ON_EDGE) // side for x, step, side in zip((lat, lon), steps, sides, strict=True)]
    ).astype(np.int64)
    which, member = np.unique(corner, axis=0, return_inverse=True)
    order = np.argsort(member.ravel(), kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(member.ravel()[order])) + 1)
    degrees = [side * step for side, step in zip(sides, steps, strict=True)]
    return [
        WindSquare(places, _square(place, degrees, (lat[places], lon[places]), interpolated))
        for place, places in zip(which, groups, strict=True)
    ]


def _square(
    corner: NDArray[np.int64], degrees: list[float], cells: tuple[Degrees, Degrees], interpolated: bool
) -> tuple[Array, Array, Array, Array]:
    """Return cells, nodes, shares and centre of the square whose lower corner is `corner` times `degrees`."""
    middle = [(float(line) + 0.5) * wide for line, wide in zip(corner, degrees, strict=True)]
    places = _km(*cells)
    if not interpolated:
        none = np.empty((3, 0), np.float32), np.empty((0, places.shape[1]), np.float32)
        return places, *none, np.array([0.0, 0.0, 0.0, np.inf], np.float32)
    half = [wide / 2 for wide in degrees]
    chebyshev = np.cos(np.pi * (np.arange(_NODES_A_SIDE) + 0.5) / _NODES_A_SIDE)
    lines = [m + h * chebyshev for m, h in zip(middle, half, strict=True)]
    along = [_lagrange((x - m) / h, chebyshev) for x, m, h in zip(cells, middle, half, strict=True)]
    shares = (along[0][:, None] * along[1][None]).reshape(len(chebyshev) ** 2, -1)
    nodes = _km(*(axis.ravel() for axis in np.meshgrid(*lines, indexing="ij")))
    counts: Array = np.ascontiguousarray(shares, np.float32)
    ends = [np.array([m - h, m + h]) for m, h in zip(middle, half, strict=True)]
    corners = _km(*(axis.ravel() for axis in np.meshgrid(*ends, indexing="ij")))
    centre = _km(*(np.array([m]) for m in middle))
    limit = _NEAR * np.linalg.norm((corners - centre).astype(np.float64), axis=0).max()
    return places, nodes, counts, np.append(centre[:, 0], np.float32(limit)).astype(np.float32)


def _km(lat: Degrees, lon: Degrees) -> Array:
    """Return places in space, km, float32 (3, place)."""
    return np.ascontiguousarray(EARTH_RADIUS_KM * unit_vectors(lat, lon).T, np.float32)


def _lagrange(x: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each of the nodes counts in the polynomial through all of them at `x` (node, x)."""
    apart = nodes[:, None] - nodes
    shares = []
    for node in range(len(nodes)):
        others = np.arange(len(nodes)) != node
        shares.append(np.prod((x - nodes[others, None]) / apart[node, others, None], axis=0))
    return np.stack(shares)


class WindCarrier:
    """One member's readings of a block of hours along the wind: the same for all tiles, and for threads side by side.

    Parameters
    ----------
    flow : WindAdvection
        Of the member, on the CPU.
    stations : StationCovariates
        Of the block.
    """

    def __init__(self, flow: WindAdvection, stations: StationCovariates) -> None:
        assert stations.airborne is not None
        self._flow, self._airborne = flow, stations.airborne
        self.hours = len(stations.airborne.where)

    @cached_property
    def _readings(self) -> tuple[Array, Array, tuple[Array, Array]]:
        """Return places (hour, 4, reading), weights (hour, target, reading), amplitudes and rates."""
        airborne = self._airborne
        where, weight = (np.ascontiguousarray(x.permute(0, 2, 1).numpy()) for x in (airborne.where, airborne.weight))
        return where, weight, self._flow.table(len(airborne.sites))

    @cached_property
    def _base(self) -> tuple[Array, Array, Array]:
        """Return the sites (3, site), their values (target, site, hour), and means of the deviations (target, hour)."""
        airborne: AdvectedReadings = self._airborne
        parts = airborne.sites.T, airborne.base.permute(2, 1, 0), airborne.mean.T
        sites, base, mean = (np.ascontiguousarray(part.numpy()) for part in parts)
        return sites, base, mean

    def bring(self, squares: list[WindSquare], places: int) -> Array:
        """Return what the air brings to cells, and how much is known there: (target + 2, place, hour)."""
        sites, base, mean = self._base
        where, weight, model = self._readings
        carried = np.empty((len(base) + KNOWN_FEATURES, places, self.hours), np.float32)
        for square in squares:
            part = np.empty((len(carried), len(square.places), self.hours), np.float32)
            average_sites(square.geometry[0], sites, BASE_KM, base, mean, part)
            krige_advected(square.geometry, where, weight, model, part)
            carried[:, square.places] = part
        return carried
