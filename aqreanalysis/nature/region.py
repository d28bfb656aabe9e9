"""The made-up region: a lattice with a margin, towns, roads, industry, and what each of them emits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.grids import Grid
from aqreanalysis.nature.random_fields import FloatArray, RandomField, stream

MARGIN = 8  # cells around the grid where air flows in, so that the border of the grid is no border of the physics
TOWNS = 16
ACTIVITIES = ("traffic", "heating", "industry", "countryside")


@dataclass(frozen=True)
class TransportLattice:
    """The grid with its margin, flattened: places in km from the centre of the region, and in degrees."""

    lat: FloatArray  # (row,)
    lon: FloatArray  # (column,)

    @classmethod
    def around(cls, grid: Grid) -> TransportLattice:
        """Return the lattice of a grid, `MARGIN` cells wider on each side."""
        rows, columns = (np.arange(-MARGIN, n + MARGIN) for n in grid.shape)
        return cls(grid.lat[0] + rows * grid.step[0], grid.lon[0] + columns * grid.step[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, margin included."""
        return self.lat.size, self.lon.size

    @property
    def flat_lat(self) -> FloatArray:
        """Latitude of every cell."""
        return np.repeat(self.lat, self.lon.size)

    @property
    def flat_lon(self) -> FloatArray:
        """Longitude of every cell."""
        return np.tile(self.lon, self.lat.size)

    @property
    def cell_km(self) -> tuple[float, float]:
        """Width and height of a cell in the middle of the region."""
        dy, dx = float(self.lat[1] - self.lat[0]), float(self.lon[1] - self.lon[0])
        return dx * KM_PER_DEGREE * float(np.cos(np.radians(self.lat.mean()))), dy * KM_PER_DEGREE

    def km(self, lat: FloatArray, lon: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return km east and north of the centre; one scale for the whole region, which is small."""
        scale = KM_PER_DEGREE * np.cos(np.radians(self.lat.mean()))
        return (lon - self.lon.mean()) * scale, (lat - self.lat.mean()) * KM_PER_DEGREE

    @property
    def flat_km(self) -> tuple[FloatArray, FloatArray]:
        """Km east and north of the centre, of every cell."""
        return self.km(self.flat_lat, self.flat_lon)


@dataclass(frozen=True)
class Settlement:
    """What people built: towns, roads between them, and works, from which the strength at any place follows.

    Attributes
    ----------
    town_x, town_y, town_size, town_km : ndarray, shape (town,)
        Centre in km from that of the region, size against the largest, and radius.
    roads : list of tuple
        Towns at both ends, and traffic, 1 between two of the size of the largest.
    works_x, works_y, works_strength : ndarray, shape (works,)
    """

    town_x: FloatArray
    town_y: FloatArray
    town_size: FloatArray
    town_km: FloatArray
    roads: list[tuple[int, int, float]]
    works_x: FloatArray
    works_y: FloatArray
    works_strength: FloatArray

    def towns(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the people of each town at places, shape (place, town), 1 in the core of the largest."""
        off = (x[:, None] - self.town_x) ** 2 + (y[:, None] - self.town_y) ** 2
        return np.asarray(self.town_size * np.exp(-0.5 * off / self.town_km**2))

    def traffic(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the traffic of the roads at places: of the busiest near by, within some 5 km of it."""
        traffic = np.zeros(x.size)
        for a, b, busy in self.roads:
            along = np.array([self.town_x[b] - self.town_x[a], self.town_y[b] - self.town_y[a]])
            share = ((x - self.town_x[a]) * along[0] + (y - self.town_y[a]) * along[1]) / (along @ along)
            share = np.clip(share, 0.0, 1.0)
            off = (x - self.town_x[a] - share * along[0]) ** 2 + (y - self.town_y[a] - share * along[1]) ** 2
            traffic = np.maximum(traffic, busy * np.exp(-0.5 * off / 5.0**2))
        return traffic

    def industry(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the strength of the works at places."""
        off = (x[:, None] - self.works_x) ** 2 + (y[:, None] - self.works_y) ** 2
        return np.asarray((self.works_strength * np.exp(-0.5 * off / 5.0**2)).sum(axis=1))


@dataclass(frozen=True)
class Region:
    """Where people live and what stands there.

    Attributes
    ----------
    lattice : TransportLattice
    names : list of str
        Of the towns, largest first.
    town_lat, town_lon, town_size, town_km : ndarray, shape (town,)
        Centre, size against the largest, and radius.
    activity : ndarray, shape (cell, activity)
        Strength of each of `ACTIVITIES`, 1 in the core of the largest town.
    town_share : ndarray, shape (cell, town)
        Share of each town in what a cell's people do; rows sum to at most 1.
    basin : ndarray, shape (cell,)
        Below 0 in basins, above 0 on high ground; about -1..1.
    settlement : Settlement
    """

    lattice: TransportLattice
    names: list[str]
    town_lat: FloatArray
    town_lon: FloatArray
    town_size: FloatArray
    town_km: FloatArray
    activity: FloatArray
    town_share: FloatArray
    basin: FloatArray
    settlement: Settlement


def build_region(seed: int, grid: Grid) -> Region:
    """Return the region of a seed on a grid: towns by Zipf's law, roads along their shortest tree, industry, basins."""
    rng = stream(seed, "layout")
    lattice = TransportLattice.around(grid)
    lat, lon = _place_towns(rng, grid)
    size = np.arange(1, TOWNS + 1) ** -0.7
    x, y = lattice.flat_km
    basin = np.tanh(RandomField(rng, (x, y), 70.0).at(np.zeros(1))[0])
    countryside = 1.0 - 0.5 * basin + 0.3 * RandomField(rng, (x, y), 40.0).at(np.zeros(1))[0]
    settlement = _settle(rng, (x, y), lattice.km(lat, lon), size)
    bumps = settlement.towns(x, y)
    people = bumps.sum(axis=1)
    activity = np.stack(
        [
            people + 0.5 * settlement.traffic(x, y),
            people,
            settlement.industry(x, y),
            np.clip(countryside, 0.1, None),
        ],
        axis=1,
    )
    names = [f"Town-{chr(ord('A') + i)}" for i in range(TOWNS)]
    share = bumps / (people[:, None] + 1e-3)
    return Region(lattice, names, lat, lon, size, settlement.town_km, activity, share, basin, settlement)


def _settle(
    rng: np.random.Generator,
    cells: tuple[FloatArray, FloatArray],
    towns: tuple[FloatArray, FloatArray],
    size: FloatArray,
) -> Settlement:
    """Return towns, roads and works: industry at the edge of every town, and a few large works that stand alone."""
    (x, y), (town_x, town_y) = cells, towns
    roads = _roads(rng, towns, size)
    lone_x = rng.uniform(x.min() * 0.75, x.max() * 0.75, 4)
    lone_y = rng.uniform(y.min() * 0.75, y.max() * 0.75, 4)
    angle = rng.uniform(0, 2 * np.pi, TOWNS)
    works_x = np.append(town_x + 9 * np.cos(angle), lone_x)
    works_y = np.append(town_y + 9 * np.sin(angle), lone_y)
    strength = np.append(size * rng.lognormal(-0.3, 0.5, TOWNS), [0.9, 0.7, 0.5, 0.4])
    return Settlement(town_x, town_y, size, 4.0 + 8.0 * np.sqrt(size), roads, works_x, works_y, strength)


def _place_towns(rng: np.random.Generator, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return centres that keep a distance; larger ones come first and keep more of it."""
    places: list[tuple[float, float]] = []
    scale = np.cos(np.radians(grid.lat.mean()))
    apart = 0.75
    while len(places) < TOWNS:
        lat = rng.uniform(grid.lat[3], grid.lat[-4])
        lon = rng.uniform(grid.lon[3], grid.lon[-4])
        near = [np.hypot(lat - a, (lon - b) * scale) for a, b in places]
        if not near or min(near) > apart:
            places.append((lat, lon))
        else:
            apart *= 0.995  # a crowded draw ends too
    lat_lon = np.array(places)
    return lat_lon[:, 0], lat_lon[:, 1]


def _roads(
    rng: np.random.Generator, towns: tuple[FloatArray, FloatArray], size: FloatArray
) -> list[tuple[int, int, float]]:
    """Return roads along the shortest tree that joins the towns and a few more, busier between large towns."""
    town_x, town_y = towns
    distance = np.hypot(town_x[:, None] - town_x, town_y[:, None] - town_y)
    edges = {(int(a), int(b)) for a, b in np.argwhere(minimum_spanning_tree(distance).toarray() > 0)}
    for town in range(0, TOWNS, 3):
        edges.add((town, int(np.argsort(distance[town])[rng.integers(2, 5)])))
    return [(a, b, float(np.sqrt(size[a] * size[b]))) for a, b in sorted(edges)]
