"""A cube and the baselines against a truth that is known at every cell and hour: what people take away is the map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from aqreanalysis.common.files import plain
from aqreanalysis.common.hours import hours_since_epoch, step_ends
from aqreanalysis.common.progress import Progress, part_of
from aqreanalysis.errors import ConfigError, CubeError, in_one_line, nearest_hint
from aqreanalysis.evaluation.baselines import Baseline, ReadOnce, StationField, StationHistory
from aqreanalysis.evaluation.bootstrap import Sums, ratios
from aqreanalysis.evaluation.compare_cube import interval_probability, layers_of, opened_cube
from aqreanalysis.evaluation.distributions import crps_through_bounds
from aqreanalysis.evaluation.metrics import best_baselines
from aqreanalysis.evaluation.predict_at_stations import Estimates
from aqreanalysis.evaluation.protocols import make_baselines
from aqreanalysis.evaluation.scores import Sample, score, score_by, score_weighted
from aqreanalysis.evaluation.strata import DISTANCE_EDGES_KM, distance_classes, level_terciles
from aqreanalysis.evaluation.tables import Table
from aqreanalysis.evaluation.verdict import verdict
from aqreanalysis.model.bundle import MODEL, MODEL_TITLE
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.observations import Observations
from aqreanalysis.species import SPECIES, Species

_DISTANCE = "nearest_station_distance"

#: Beyond so many kilometres from every station, a cell is none of a town that is measured.
FAR_KM = 50.0
#: People a square kilometre from which on a cell is town: the European degree of urbanisation's urban clusters.
TOWN_PEOPLE = 300.0

_SCORES = ("n", "mae", "rmse", "r2", "bias", "crps", "coverage", "width")
_OF_EXPECTATION = ("n", "bias", "mae", "rmse", "r2")
#: Cells times hours that a baseline answers at once (some 200 MB with what it needs for that).
_BLOCK_VALUES = 4_000_000
_USUAL_COVERAGE = 0.9
#: Side of the squares that the bootstrap draws.
_SQUARE_DEGREES = 1.0


def score_against_truth(
    cube: str | Path | xr.Dataset,
    truth: xr.Dataset,
    *,
    observations: Observations | None = None,
    covariates: FieldSource | None = None,
    baselines: Sequence[str] | None = None,
    population: xr.DataArray | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a cube, and baselines beside it, at every cell and hour against a truth that is known everywhere.

    Returns, by pollutant: ``units``; ``overall`` and ``by_distance``, the cube's scores over all its cells and by class
    of distance to the nearest station (from its own ``nearest_station_distance``); and ``methods``, the cube (as
    ``aq-net``) and each baseline on the cells and hours that all answer that answer any, with ``title``, ``overall``,
    ``by_distance``, ``by_level`` (terciles of the estimate), ``far`` (beyond 50 km from every station), and with a
    `population` ``by_settlement`` (town and country) and ``by_people`` (weighted by people); and
    ``against_best_baseline``, the cube's scores as shares of the best baseline's, with the bounds of a bootstrap of
    squares of a degree and blocks of days; and where the cube has one beside the median, its ``expectation``. Its CRPS
    is that of the distribution through its estimate and bounds.

    Parameters
    ----------
    cube : str, Path or Dataset
        The cube.
    truth : Dataset
        One variable a pollutant under its key (ends of hours, lat, lon), on a grid that holds the cube's cells.
    observations : Observations, optional
        What the cube was made from. With it baselines are tuned on the same stations, each left out, at the cube's
        hours, and answer at the cube's cells.
    covariates : FieldSource, optional
        Those of the model: baselines that read covariates are asked too.
    baselines : sequence of str, optional
        Names of those to ask; all but those that take too long for a map if None.
    population : DataArray, optional
        People a square kilometre (lat, lon), on a grid that holds the cube's cells.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    CubeError
        If pollutants, hours or cells do not match, or baselines are asked and the cube's steps are no hours.
    ConfigError
        If a baseline is not known.
    """
    with opened_cube(cube) as dataset:
        cells = CubeCells.of(dataset, population)
        network = CellNetwork(cells, observations, covariates) if observations is not None else None
        asked = _asked(baselines, network)
        titles = {MODEL: MODEL_TITLE} | {baseline.name: baseline.title for baseline in asked}
        keys, result = _common(dataset, truth), {}
        for number, one in enumerate(keys):
            observed = cells.truth_of(truth[one.key], dataset)
            samples = {MODEL: _cube_sample(dataset, one, observed)}
            if network is not None and one.key in network.observations.species:
                samples |= network.samples(asked, one.key, observed, part_of(progress, number, len(keys)))
            scored = _scored(samples, titles, cells) | _expectation(dataset, one, samples[MODEL], cells)
            result[one.key] = {"units": one.units, **scored}
        return dict(plain(result))


def _common(cube: xr.Dataset, truth: xr.Dataset) -> list[Species]:
    """Return the pollutants that cube and truth have, once it is known that the cube can be scored."""
    keys = [s for s in SPECIES.values() if s.layer in cube.data_vars and s.key in truth.data_vars]
    if not keys:
        raise CubeError("cube and truth share no pollutant")
    return keys


@dataclass(frozen=True)
class CubeCells:
    """Cells and hours of a cube, flat.

    Attributes
    ----------
    lat, lon, nearest_km : ndarray of float64, shape (cell,)
        Centres in degrees, and the distance to the nearest station that ever reports.
    hours : ndarray of int64, shape (T,)
        Ends of the steps, hours since 1970-01-01 00:00 UTC.
    hourly : bool
        Whether a step of the cube is an hour.
    people : ndarray of float64, shape (cell,), or None
        People a square kilometre.
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    nearest_km: npt.NDArray[np.float64]
    hours: npt.NDArray[np.int64]
    hourly: bool
    people: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, cube: xr.Dataset, population: xr.DataArray | None) -> CubeCells:
        """Return the cells and hours of a cube."""
        lat, lon = np.meshgrid(np.asarray(cube["lat"], np.float64), np.asarray(cube["lon"], np.float64), indexing="ij")
        km = _nearest_km(cube)
        hours = hours_since_epoch(pd.DatetimeIndex(step_ends(cube)))
        hourly = not len(hours) > 1 or int(np.diff(hours).min()) == 1
        people = None
        if population is not None:
            inhabited = _on_grid_of(population, cube, "population").transpose("lat", "lon")
            people = np.nan_to_num(np.asarray(inhabited.values, np.float64)).ravel()
        return cls(lat.ravel(), lon.ravel(), km.ravel(), hours, hourly, people)

    def truth_of(self, truth: xr.DataArray, cube: xr.Dataset) -> npt.NDArray[np.float32]:
        """Return a pollutant's truth at these cells and hours, float32 (T, cell)."""
        times = step_ends(cube)
        lacking = times[~np.isin(times, truth["time"].values)]
        if lacking.size:
            raise CubeError(f"the truth lacks an hour or a cell of the cube: {lacking[0]}")
        aligned = _on_grid_of(truth.sel(time=times), cube, "truth").transpose("time", "lat", "lon")
        return np.asarray(aligned.values, np.float32).reshape(len(self.hours), -1)


def _nearest_km(cube: xr.Dataset) -> npt.NDArray[np.float64]:
    """Return the distance to the nearest station that reports any pollutant at any step (lat, lon)."""
    layers = [cube[name] for name in map(str, cube.variables) if name.endswith(_DISTANCE)]
    if not layers:
        raise CubeError(f"the cube has no {_DISTANCE}: write it with aqreanalysis produce")
    maps = [layer.min("time") if "time" in layer.dims else layer for layer in layers]
    return np.fmin.reduce([np.asarray(one.transpose("lat", "lon").values, np.float64) for one in maps])


@dataclass(frozen=True)
class CellNetwork:
    """The stations that baselines are tuned on, and the cells where they answer."""

    cells: CubeCells
    observations: Observations
    covariates: FieldSource | None

    def __post_init__(self) -> None:
        if not self.cells.hourly:
            raise CubeError("baselines estimate hours: score an hourly cube, or leave observations away")

    def station_field(self, key: str, cells: slice) -> StationField:
        """Return the readings at the cube's hours, with the covariates at the stations and at some cells."""
        given, hours = self.observations, self.cells.hours
        history = StationHistory(given.first_hour, given.values(key))
        row = hours - given.first_hour
        inside = (row >= 0) & (row < len(history.values))
        values = np.full((len(hours), len(given.stations)), np.nan)
        values[inside] = history.values[row[inside]]
        known = None
        if self.covariates is not None:
            lat = np.concatenate([given.lat, self.cells.lat[cells]])
            lon = np.concatenate([given.lon, self.cells.lon[cells]])
            known = ReadOnce.of(self.covariates, lat, lon, hours)
        return StationField(given.lat, given.lon, values, np.arange(len(given.stations)), hours, history, known)

    def samples(
        self, baselines: Sequence[Baseline], key: str, observed: npt.NDArray[np.float32], progress: Progress | None
    ) -> dict[str, Sample]:
        """Return what baselines say at all cells beside the truth (T, cell), by name; each is tuned anew."""
        width = max(1, _BLOCK_VALUES // len(self.cells.hours))
        blocks = [slice(start, start + width) for start in range(0, len(self.cells.lat), width)]
        parts: dict[str, list[Sample]] = {baseline.name: [] for baseline in baselines}
        # As in an evaluation: small systems gain nothing from threads of BLAS.
        with threadpool_limits(1, user_api="blas"):
            for done, block in enumerate(blocks):
                field = self.station_field(key, block)
                for number, baseline in enumerate(baselines):
                    if done == 0:
                        baseline.tune(field)
                    answer = baseline.predict(field, self.cells.lat[block], self.cells.lon[block])
                    against = observed[:, block].astype(np.float64)
                    estimates = Estimates.of(answer, self.cells.hours, against, _USUAL_COVERAGE)
                    parts[baseline.name].append(estimates.sample(observed[:, block]))
                    if progress is not None:
                        note = f"{key}: {baseline.title} at every cell"
                        progress(done * len(baselines) + number + 1, len(blocks) * len(baselines), note)
        return {name: _joined(samples) for name, samples in parts.items()}


def truth_table(result: Mapping[str, Any]) -> Table:
    """Return what `score_against_truth` found as a table: a row a method and set of cells, among them by distance."""
    header = ["pollutant", "cells", "method", "MAE", "RMSE", "R2", "bias", "CRPS", "coverage"]
    rows = []
    for key, scored in result.items():
        named = f"{SPECIES[key].title} ({scored['units']})"
        small = 2 if str(scored["units"]).startswith("mg") else 0
        for title, read in _CELL_SETS.items():
            for method in scored["methods"].values():
                scores = read(method)
                if scores is not None:
                    rows.append([named, title, method["title"], *_cells_of(scores, small)])
            if (mean := _of_cells(scored.get("expectation"), title)) is not None:
                rows.append([named, title, f"{MODEL_TITLE}, expectation", *_cells_of(mean, small)])
    notes = [
        "against the truth at every cell and hour that all methods answer",
        "(an interval is meant for a station's reading, not for the mean of a cell)",
    ]
    compared = {key: {"every cell": scored} for key, scored in result.items() if scored["against_best_baseline"]}
    return Table(header, rows, 3, [*notes, verdict(compared)] if compared else notes)


def _of_cells(expectation: Mapping[str, Any] | None, title: str) -> Mapping[str, float | None] | None:
    """Return the scores of the expectation in a set of cells; None where there are none."""
    if expectation is None:
        return None
    scores: Mapping[str, float | None] | None = expectation if title == "all" else expectation["by_distance"].get(title)
    return scores


def _class_of(name: str, method: Mapping[str, Any]) -> Mapping[str, float | None] | None:
    """Return a method's scores in a class of distance, or None where no cell is so far."""
    scores: Mapping[str, float | None] | None = method["by_distance"].get(name)
    return scores


#: Classes of distance up to `FAR_KM`.
_NEAR_CLASSES = distance_classes(np.zeros(1), [edge for edge in DISTANCE_EDGES_KM if edge <= FAR_KM])[1]
_CELL_SETS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, float | None] | None]] = {
    "all": lambda method: method["overall"],
    **{name: partial(_class_of, name) for name in _NEAR_CLASSES},
    f"beyond {FAR_KM:g} km": lambda method: method.get("far"),
    "town": lambda method: method.get("by_settlement", {}).get("town"),
    "country": lambda method: method.get("by_settlement", {}).get("country"),
    "by people": lambda method: method.get("by_people"),
}


def _cells_of(scores: Mapping[str, float | None], small: int) -> list[str]:
    form = {"mae": 2 + small, "rmse": 2 + small, "r2": 3, "bias": 2 + small, "crps": 2 + small, "coverage": 3}
    return [
        "-" if (value := scores.get(key)) is None else f"{value:{'+' if key == 'bias' else ''}.{digits}f}"
        for key, digits in form.items()
    ]


def _asked(names: Sequence[str] | None, network: CellNetwork | None) -> list[Baseline]:
    """Return the baselines to ask, fresh and untuned; none without stations."""
    if network is None:
        return []
    every = make_baselines(covariates=network.covariates is not None)
    if names is None:
        return [baseline for baseline in every if baseline.asked_at_cells]
    known = {baseline.name: baseline for baseline in every}
    for name in names:
        if name not in known:
            raise ConfigError(f"no baseline {name!r}: there are {', '.join(known)}{nearest_hint(name, known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _scored(samples: Mapping[str, Sample], titles: Mapping[str, str], cells: CubeCells) -> dict[str, Any]:
    """Return the cube's scores on all its cells, and those of every method on the cells and hours that all answer."""
    distance = distance_classes(cells.nearest_km)
    known = [sample.known for sample in samples.values()]
    # A method that answers nothing takes nothing from the others.
    answered = np.logical_and.reduce([one for one in known if one.any()])
    own = samples[MODEL]
    methods = {}
    for name, sample in samples.items():
        common = sample.where(answered)
        methods[name] = {
            "title": titles[name],
            "overall": _cell_scores(score(common)),
            "by_distance": _by(common, *distance),
            "by_level": _by(common, *level_terciles(common.best)),
            "far": _cell_scores(score(common.where(cells.nearest_km > FAR_KM))),
        }
        if cells.people is not None:
            town = (cells.people >= TOWN_PEOPLE).astype(np.int64)
            methods[name]["by_settlement"] = _by(common, town, ["country", "town"])
            methods[name]["by_people"] = score_weighted(common, cells.people)
    sums = {name: _sums(sample.where(answered), cells) for name, sample in samples.items()}
    against = ratios(sums, best_baselines(methods))[MODEL] if len(samples) > 1 else {}
    return {
        "overall": _cell_scores(score(own)),
        "by_distance": _by(own, *distance),
        "methods": methods,
        "against_best_baseline": against,
    }


def _sums(sample: Sample, cells: CubeCells) -> Sums:
    """Return the sums of scores by block of days and square of `_SQUARE_DEGREES`: cells side by side err together."""
    corner = np.floor(np.column_stack([cells.lat, cells.lon]) / _SQUARE_DEGREES)
    squares, square = np.unique(corner, axis=0, return_inverse=True)
    by_cell = Sums.of(sample, cells.hours)
    gathered = (
        np.stack([np.bincount(square.ravel(), row, len(squares)) for row in values]).astype(np.float64)
        for values in (by_cell.mae, by_cell.rmse, by_cell.crps)
    )
    return Sums(*gathered)


def _expectation(cube: xr.Dataset, species: Species, median: Sample, cells: CubeCells) -> dict[str, Any]:
    """Return as ``expectation`` what that of a cube scores in all cells and by distance, beside the median; nothing
    where the cube has none. Its bias is the one that averages have."""
    layer = f"{species.layer}_mean"
    if layer not in cube.data_vars:
        return {}
    own = replace(median, best=_values(cube[layer], median.observed))
    overall = score(own)
    parts = score_by(own, *distance_classes(cells.nearest_km))
    by_distance = {name: {k: scores[k] for k in _OF_EXPECTATION} for name, scores in parts.items()}
    return {"expectation": {**{name: overall[name] for name in _OF_EXPECTATION}, "by_distance": by_distance}}


def _by(sample: Sample, labels: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, dict[str, float]]:
    return {name: _cell_scores(scores) for name, scores in score_by(sample, labels, names).items()}


def _cell_scores(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: scores[name] for name in _SCORES}


def _joined(parts: Sequence[Sample]) -> Sample:
    return Sample(**{name: np.concatenate([getattr(p, name) for p in parts], axis=1) for name in _FIELDS})


_FIELDS = tuple(Sample.__dataclass_fields__)


def _cube_sample(cube: xr.Dataset, species: Species, observed: npt.NDArray[np.float32]) -> Sample:
    """Return what the cube says beside the truth (T, cell)."""
    layers = layers_of(cube, species)
    arrays = {name: _values(cube[layer], observed) for name, layer in layers.items()}
    empty = np.broadcast_to(np.float32(np.nan), observed.shape)
    crps = empty
    if {"lower", "upper"} <= arrays.keys():
        coverage = interval_probability(cube[layers["lower"]]) or _USUAL_COVERAGE
        crps = crps_through_bounds(arrays["best"], (arrays["lower"], arrays["upper"]), coverage, observed)
    lower, upper = arrays.get("lower", empty), arrays.get("upper", empty)
    return Sample(arrays["best"], empty, lower, upper, crps, empty, observed)


def _values(layer: xr.DataArray, like: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a layer of the cube as (T, cell)."""
    return np.asarray(layer.transpose("time", "lat", "lon").values, np.float32).reshape(like.shape)


def _on_grid_of(fields: xr.DataArray, cube: xr.Dataset, what: str) -> xr.DataArray:
    """Return fields at the cells of the cube."""
    step = float(np.diff(cube["lat"].values).mean()) if cube.sizes["lat"] > 1 else 0.1
    try:
        return fields.sel(lat=cube["lat"].values, lon=cube["lon"].values, method="nearest", tolerance=0.01 * abs(step))
    except KeyError as error:
        raise CubeError(f"the {what} lacks an hour or a cell of the cube: {in_one_line(error)}") from None
