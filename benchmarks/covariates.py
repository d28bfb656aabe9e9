"""How much do covariates know about the errors of kriging? Measured without any network; writes results/covariates.md.

    python benchmarks/covariates.py [--data ../shared/data] [--days 40] [--seeds 0 1] [--part nature beijing]

Kriging of the logarithm estimates places it does not see. What it misses is learned from covariates by gradient
boosting, at other stations than those it is then scored at, once with all covariates, once with none (the clock, the
estimate, its variance and the distance to the network only), once with each one left out. The difference is what there
is to be had; a network may find less, or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.covariates import Covariates
from aqreanalysis.evaluation.baselines.base import StationField
from aqreanalysis.evaluation.baselines.kriging import back, forward, offsets, project
from aqreanalysis.evaluation.distributions import ShiftedLogNormal
from aqreanalysis.geostatistics.kriging import leave_out, ordinary_kriging
from aqreanalysis.geostatistics.variogram import FAMILIES, Variogram, empirical_variogram, fit_variogram
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.era5_grib import write_meteorology
from aqreanalysis.observations import read_observations

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "covariates.md"
PARTS = ("nature", "beijing")
LAGS = (1, 3, 6)  # h
FAR_KM = 30.0
GROUPS = {
    "wind": ("u10", "v10"),
    "boundary layer": ("blh",),
    "temperature": ("t2m",),
    "dew point": ("d2m",),
    "pressure": ("sp",),
    "precipitation": ("tp",),
}
Floats = NDArray[np.float64]


def mean_over(z: Floats) -> Floats:
    """Return the mean over the places of each hour, NaN at an hour without any."""
    seen = np.isfinite(z)
    with np.errstate(invalid="ignore"):
        return np.where(seen, z, 0.0).sum(axis=1) / seen.sum(axis=1)


@dataclass
class Sample:
    """Estimates at places that the kriging did not see, flat over hours and places.

    Attributes
    ----------
    base, covariates : ndarray
        Features without and with meteorology, (row, feature); `groups` says whose each column of the second is.
    z, truth : ndarray
        Kriged logarithm, and the reading (or truth) in ug m-3.
    place : ndarray
        Number of the place.
    """

    base: Floats
    covariates: Floats
    groups: list[str]
    z: Floats
    truth: Floats
    place: NDArray[np.int64]

    def kept(self, mask: NDArray[np.bool_]) -> Sample:
        """Return some rows."""
        parts = (getattr(self, name)[mask] for name in ("base", "covariates"))
        return Sample(*parts, self.groups, self.z[mask], self.truth[mask], self.place[mask])

    def features(self, without: str | None, meteorology: bool) -> Floats:
        """Return the features of one experiment."""
        if not meteorology:
            return self.base
        columns = [i for i, group in enumerate(self.groups) if group != without]
        return np.column_stack([self.base, self.covariates[:, columns]])


@dataclass
class Field:
    """Readings of a network and how they are kriged."""

    network: StationField
    hours: NDArray[np.int64]
    variogram: Variogram
    offset: float

    @classmethod
    def of(cls, lat: Floats, lon: Floats, values: Floats, hours: NDArray[np.int64]) -> Field:
        """Fit the variogram on hours spread over the record: the family with the least error at left-out stations."""
        network = StationField(lat, lon, values, np.arange(len(lat)), hours)
        few = network.tuning_sample()
        x, y = project(network, lat, lon)
        km = np.hypot(x[:, None] - x, y[:, None] - y)
        offset = offsets(few)[0]
        z = forward(few.values, offset)
        tried = [fit_variogram(family, empirical_variogram(z, km)) for family in FAMILIES]
        errors = [np.nanmean(np.abs(leave_out(z, km, one, few.groups).estimate - z)) for one in tried]
        return cls(network, hours, tried[int(np.argmin(errors))], offset)

    def estimate(self, lat: Floats, lon: Floats, rows: NDArray[np.intp], far_km: float) -> tuple[Floats, Floats]:
        """Return logarithm and variance (hour, place), each place kriged from stations farther than `far_km` only."""
        own, net = self.network, self.variogram
        x, y = project(own, own.lat, own.lon)
        px, py = project(own, lat, lon)
        km = np.hypot(x[:, None] - x, y[:, None] - y)
        covariance, towards = net.covariance(km), net.covariance(np.hypot(x[:, None] - px, y[:, None] - py))
        away = distance_matrix_km(own.lat, own.lon, lat, lon) > far_km
        z = forward(own.values, self.offset)
        estimate, variance = np.full((2, len(rows), len(lat)), np.nan)
        patterns, members = np.unique(away.T, axis=0, return_inverse=True)
        for index, row in enumerate(rows):
            seen = np.isfinite(z[row])
            for number, pattern in enumerate(patterns):
                at, places = np.flatnonzero(seen & pattern), np.flatnonzero(members.ravel() == number)
                if at.size >= 5:
                    among, there = covariance[np.ix_(at, at)], towards[np.ix_(at, places)]
                    answer = ordinary_kriging(among, there, z[row, at], net.sill)
                    estimate[index, places], variance[index, places] = answer
        return estimate, variance


def sample(
    field: Field, covariates: Covariates, lat: Floats, lon: Floats, truth: Floats, rows: NDArray[np.intp], far_km: float
) -> Sample:
    """Return the sample at places and hours (rows of the field); `truth` is (hour, place) at those rows."""
    z, variance = field.estimate(lat, lon, rows, far_km)
    hours = field.hours[rows]
    weather = covariates.at(lat, lon, hours).astype(np.float64)
    names = covariates.fields
    shape = z.shape
    away = distance_matrix_km(field.network.lat, field.network.lon, lat, lon)
    nearest = np.where(away > far_km, away, np.inf).min(axis=0)
    clock = 2 * np.pi * (hours % 24) / 24
    base = [z, np.sqrt(variance), np.broadcast_to(nearest, shape)]
    base += [np.broadcast_to(part[:, None], shape) for part in (np.sin(clock), np.cos(clock), mean_over(z))]
    extra, groups = [], []
    for group, keys in GROUPS.items():
        if not set(keys) <= set(names):
            continue
        columns = [weather[:, :, names.index(key)] for key in keys]
        if group == "wind":
            columns += [
                np.hypot(*columns),
                *(carried(field, (lat, lon), columns, rows, lag, far_km) - z for lag in LAGS),
            ]
        if group == "precipitation":
            columns = [np.log1p(columns[0])]
        extra += columns
        groups += [group] * len(columns)
    place = np.broadcast_to(np.arange(len(lat)), shape).ravel()
    flat = Sample(
        np.stack([b.ravel() for b in base], 1),
        np.stack([e.ravel() for e in extra], 1),
        groups,
        z.ravel(),
        truth.ravel(),
        place,
    )
    return flat.kept(np.isfinite(flat.z) & np.isfinite(flat.truth))


def carried(
    field: Field, places: tuple[Floats, Floats], wind: list[Floats], rows: NDArray[np.intp], lag: int, far_km: float
) -> Floats:
    """Return the logarithm that the wind brings: the inverse-distance mean where the air was `lag` hours ago."""
    own = field.network
    (x, y), (px, py) = project(own, own.lat, own.lon), project(own, *places)
    away = distance_matrix_km(own.lat, own.lon, *places) > far_km
    z = np.vstack([np.full((lag, len(x)), np.nan), forward(own.values, field.offset)])[rows]
    seen = np.isfinite(z)
    out = np.empty(wind[0].shape)
    for place in range(len(px)):
        u, v = (3.6 * lag * np.nan_to_num(part[:, place]) for part in wind[:2])
        square = (px[place] - u[:, None] - x) ** 2 + (py[place] - v[:, None] - y) ** 2
        weight = seen * away[:, place] / (square + 10.0**2)
        with np.errstate(invalid="ignore"):
            out[:, place] = (weight * np.nan_to_num(z)).sum(axis=1) / weight.sum(axis=1)
    return out


def learn(train: Sample, test: Sample, offset: float, without: str | None, meteorology: bool) -> tuple[Floats, Floats]:
    """Return absolute error and CRPS at the rows of `test`, after a correction learned on `train`."""
    features, target = train.features(without, meteorology), forward(train.truth, offset) - train.z
    # The spread is learned from residuals at stations that the correction has not seen.
    half = train.place % 2 == 0
    residual = np.empty_like(target)
    for part in (half, ~half):
        residual[part] = target[part] - booster().fit(features[~part], target[~part]).predict(features[part])
    asked = test.features(without, meteorology)
    centre = test.z + booster().fit(features, target).predict(asked)
    # Of a normal the mean absolute deviation is 0.798 standard deviations.
    scale = np.maximum(booster().fit(features, np.abs(residual)).predict(asked) / 0.798, 0.03)
    answer = ShiftedLogNormal(centre, scale, offset)
    return np.abs(back(centre, offset) - test.truth), np.asarray(answer.crps(test.truth))


def booster() -> HistGradientBoostingRegressor:
    """Return the learner, small enough to be fitted hundreds of times."""
    return HistGradientBoostingRegressor(
        max_iter=50, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=5.0, random_state=0
    )


def experiments(groups: list[str]) -> list[tuple[str, str | None, bool]]:
    """Return the rows of a table: title, group left out, whether there is meteorology."""
    rows: list[tuple[str, str | None, bool]] = [("none", None, False), ("all", None, True)]
    return [*rows, *((f"all but {group}", group, True) for group in dict.fromkeys(groups))]


def table(scores: dict[str, list[tuple[Floats, Floats]]], kriged: Floats) -> list[str]:
    """Return the lines of a table from errors by experiment, one pair a fold."""
    means = {
        name: [float(np.concatenate(part).mean()) for part in zip(*folds, strict=True)]
        for name, folds in scores.items()
    }
    lines = ["| covariates | MAE | CRPS | MAE against none | CRPS against none |", "|---|---|---|---|---|"]
    lines.append(f"| (kriging itself) | {kriged.mean():.3f} | | {kriged.mean() / means['none'][0] - 1:+.1%} | |")
    for name, (mae, crps) in means.items():
        change = [new / old - 1 for new, old in zip((mae, crps), means["none"], strict=True)]
        lines.append(f"| {name} | {mae:.3f} | {crps:.3f} | {change[0]:+.1%} | {change[1]:+.1%} |")
    return lines


def run_beijing(data: Path, stride: int) -> list[str]:
    """Return the table of the twelve Beijing stations, each hidden once."""
    path = data / "beijing_uci12_2013_2017.parquet"
    covariates = Covariates.open(path)
    observations = read_observations(path).select(start="2016-03-01", end="2017-02-28")
    values = observations.values("pm25").astype(np.float64)
    lat, lon, hours = observations.lat, observations.lon, observations.hours
    rows = np.arange(max(LAGS), len(hours), stride)
    scores: dict[str, list[tuple[Floats, Floats]]] = {}
    kriged = []
    for hidden in range(len(lat)):
        seen = np.arange(len(lat)) != hidden
        field = Field.of(lat[seen], lon[seen], values[:, seen], hours)
        train = sample(field, covariates, lat[seen], lon[seen], values[np.ix_(rows, seen)], rows, 0.001)
        test = sample(field, covariates, lat[[hidden]], lon[[hidden]], values[np.ix_(rows, [hidden])], rows, 0.001)
        kriged.append(np.abs(back(test.z, field.offset) - test.truth))
        for name, without, meteorology in experiments(train.groups):
            scores.setdefault(name, []).append(learn(train, test, field.offset, without, meteorology))
    title = f"## Beijing, 12 stations, each hidden once; PM2.5, every {stride} h of March 2016 to February 2017"
    note = "Their own meteorology: each station has that of the nearest weather station, through `Covariates`."
    return [title, "", note, "", *table(scores, np.concatenate(kriged))]


def run_nature(seeds: list[int], days: int, stride: int, cells: int) -> list[str]:
    """Return the table of the nature run: trained at stations in its first half, scored at far cells in its second."""
    scores: dict[str, list[tuple[Floats, Floats]]] = {}
    kriged = []
    for seed in seeds:
        nature = nature_run(seed=seed, days=days, species=("pm25",))
        with tempfile.TemporaryDirectory() as folder:
            covariates = Covariates.open(write_meteorology(nature.meteorology, Path(folder) / "weather.grib"))
            observations = nature.observations
            values, hours = observations.values("pm25").astype(np.float64), observations.hours
            field = Field.of(observations.lat, observations.lon, values, hours)
            first = np.arange(max(LAGS), len(hours) // 2, stride)
            second = np.arange(len(hours) // 2 + 24, len(hours), stride)
            train = sample(field, covariates, observations.lat, observations.lon, values[first], first, FAR_KM)
            lat, lon = (a.ravel() for a in np.meshgrid(nature.grid.lat, nature.grid.lon, indexing="ij"))
            far = np.flatnonzero(distance_matrix_km(observations.lat, observations.lon, lat, lon).min(axis=0) > FAR_KM)
            far = np.random.default_rng(seed).choice(far, cells, replace=False)
            truth = nature.truth["pm2p5"].values.reshape(len(hours), -1)[np.ix_(second, far)].astype(np.float64)
            test = sample(field, covariates, lat[far], lon[far], truth, second, 0.0)
        kriged.append(np.abs(back(test.z, field.offset) - test.truth))
        for name, without, meteorology in experiments(train.groups):
            scores.setdefault(name, []).append(learn(train, test, field.offset, without, meteorology))
    named = ", ".join(map(str, seeds))
    title = f"## Nature run, {cells} cells more than {FAR_KM:g} km from a station; PM2.5, seeds {named}"
    note = (
        f"{days} days each, 80 stations; its wind, boundary layer, temperature and rain written as GRIB and read back. "
        f"Learned at the stations (each kriged from those farther than {FAR_KM:g} km) in the first half, "
        f"every {stride} h; scored against the truth in the second."
    )
    return [title, "", note, "", *table(scores, np.concatenate(kriged))]


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--stride", type=int, default=5)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    options = parser.parse_args()
    for part in options.part:
        if part == "beijing" and not options.data.is_dir():
            print(f"skipped: no folder {options.data}")
            continue
        begin = time.perf_counter()
        if part == "nature":
            lines = run_nature(options.seeds, options.days, options.stride, options.cells)
        else:
            lines = run_beijing(options.data, options.stride)
        how = " ".join(["python benchmarks/covariates.py", *sys.argv[1:]])
        keep([*lines, "", f"`{how}`, {time.perf_counter() - begin:.0f} s."])


def keep(section: list[str]) -> None:
    """Put a section into the results in place of an earlier one of its kind, and print it."""
    title = [
        "# What covariates know about the errors of kriging",
        "",
        *(__doc__ or "").split("\n\n")[2].strip().splitlines(),
    ]
    before = RESULT.read_text(encoding="utf-8").split("\n## ")[1:] if RESULT.exists() else []
    kind = section[0].split()[1]
    sections = [f"## {text.strip()}" for text in before if text.split()[0].strip(",") != kind.strip(",")]
    parts = ["\n".join(title), *sorted([*sections, "\n".join(section)], reverse=True)]
    RESULT.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n".join(section))


if __name__ == "__main__":
    main()
