"""Learning the external drift: kriging leaves each station out, and what it misses is laid to what the ground says.

Stations are left out twice, alone and with all others of their town, since cells of a grid lie at both distances. A
slope must earn its place at towns that it was not learned at, else the pollutant has none: of six pollutants in North
China PM2.5, PM10 and NO2 keep theirs (benchmarks/skill.md). Static fields that were given stand in the same ridge
beside height and population, all at once; those without which towns left out are told no worse leave it one by one, and
what is left must explain as much beyond height and population as these must by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.common.hours import even_step
from aqreanalysis.errors import ModelError
from aqreanalysis.geography import FIELDS
from aqreanalysis.geostatistics.kriging import leave_out
from aqreanalysis.geostatistics.variogram import Variogram, empirical_variogram, fit_variogram
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.external_drift import Drift, StaticField, StaticSource, describe_places
from aqreanalysis.splits import town_numbers

Floats = NDArray[np.float64]

# A station's lasting bias is what counts, and some four hours a month tell it; more cost time and change nothing.
_MOST_HOURS = 96
# With static fields there are some tens of slopes to be told, and the noise of a mean over four hours a month is felt:
# of NO2 in North China 0.339 of the lasting misses are explained with so many, 0.326 with a quarter of them.
_MOST_HOURS_STATIC = 400
# A long record is not read whole to find those.
_ENOUGH_HOURS = 2000
# Kriging's systems grow with the cube of the stations.
_MOST_STATIONS = 500
# With fewer towns a slope is the difference between two of them.
_FEWEST_TOWNS, _FOLDS = 20, 10
_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Share of the stations' lasting misses that must be explained at towns left out.
_LEAST_EXPLAINED = 0.03
# And it must be this many times the standard error that it has over the towns: one in twenty would be so far off by
# chance, and what was chosen from several fields looks better than it is. In five folds of north China's cities the
# fields as they are gain 2.0 to 3.4 such errors, the same mirrored in space at most 1.3 (PM10, where three per cent
# alone let them in).
_SURE = 1.645
# A static field that explains less than this beside the others is left out: its file would be asked for ever after.
_LEAST_BESIDE = 0.01
# A column that varies less, as a share of its mean, is the same everywhere and tells nothing.
_SAME = 1e-9
# Share of a field's mean at the stations that counts as little.
_LITTLE = 0.1
# Moves co-located instruments apart: at distance zero two rows of the kriging matrix would be equal.
_APART_KM = 1e-3


@dataclass(frozen=True)
class _Missed:
    """What kriging misses of stations left out, two rows a station: mean residual, fields less what the others say of
    them, weight, town."""

    residual: Floats
    fields: Floats
    weight: Floats
    town: NDArray[np.int64]


def hour_stride(count: int) -> int:
    """Return a step by which a record of `count` hours is thinned to some two thousand, of every hour of day."""
    return even_step(count // _ENOUGH_HOURS)


def fit_drift(
    values: NDArray[np.float32],
    scaling: Mapping[str, Scaling],
    lat: Floats,
    lon: Floats,
    static: StaticSource | None = None,
) -> Drift | None:
    """Return the drift of each pollutant; None where the stations stand in too few towns to tell, or none has any.

    Parameters
    ----------
    values : float32 (hour, station, input)
        Concentrations at the training stations, NaN where missing.
    scaling : dict
        Of the inputs, in their order.
    lat, lon : float64 (station,)
        Degrees.
    static : StaticSource, optional
        Static fields to try beside height and population.

    Raises
    ------
    ModelError
        If a static field has no value at any station.
    """
    chosen = np.unique(np.linspace(0, len(lat) - 1, min(len(lat), _MOST_STATIONS)).astype(int))
    lat, lon = lat[chosen], lon[chosen]
    town = town_numbers(lat, lon)
    if len(np.unique(town)) < _FEWEST_TOWNS:
        return None
    offered = _with_little(static, lat, lon) if static is not None else ()
    fields = _without_gaps(describe_places(lat, lon, offered, static))
    middle, spread = fields.mean(axis=0), fields.std(axis=0)
    spread[spread <= _SAME * np.abs(middle)] = np.inf
    km = np.linalg.norm(relative_position(lat[:, None], lon[:, None], lat[None], lon[None]), axis=-1)
    km += _APART_KM * (1 - np.eye(len(km)))
    parts = _parts(offered)
    slopes: dict[str, Floats] = {}
    explained: dict[str, dict[str, float]] = {}
    for i, (key, one) in enumerate(scaling.items()):
        readings = values[:, :, i][:, chosen]
        most = _MOST_HOURS_STATIC if offered else _MOST_HOURS
        missed = _missed(one, readings, (fields - middle) / spread, (km, town), most)
        slopes[key], explained[key] = np.zeros(fields.shape[1]), {}
        if missed is not None:
            columns, explained[key] = _earned(missed, parts)
            slopes[key][columns] = _slopes(missed, columns)
            slopes[key] /= spread
    if not any(x.any() for x in slopes.values()):
        return None
    used = [one for one in offered if any(x[parts[one.name]].any() for x in slopes.values())]
    columns = np.concatenate([np.arange(len(FIELDS)), *(parts[one.name] for one in used)]).astype(int)
    low, middle, high = (tuple(x[columns].tolist()) for x in (fields.min(axis=0), middle, fields.max(axis=0)))
    by_key = {key: tuple(x[columns].tolist()) for key, x in slopes.items()}
    return Drift(by_key, low, middle, high, tuple(used), explained if used else {}, static)


def _with_little(static: StaticSource, lat: Floats, lon: Floats) -> tuple[StaticField, ...]:
    """Return the fields with what counts as little in each: a tenth of what it is on average at the stations."""
    sized = []
    for one in static.fields:
        means = static.means(one.name, lat, lon, one.windows_km)
        if not np.isfinite(means).any():
            raise ModelError(
                f"static field {one.name} ({one.source}) has no value at any station that the model learns from: give "
                "a file that covers them, or leave it out"
            )
        sized.append(replace(one, little=max(_LITTLE * float(np.nanmean(np.maximum(means, 0.0))), 1e-9)))
    return tuple(sized)


def _without_gaps(columns: Floats) -> Floats:
    """Return columns (station, column) with the lowest of each where it has no value, as `Drift` has it."""
    return np.where(np.isnan(columns), np.nanmin(columns, axis=0), columns)


def _parts(offered: Sequence[StaticField]) -> dict[str, NDArray[np.intp]]:
    """Return which columns belong to each static field, by name."""
    ends = np.cumsum([len(FIELDS), *(one.width for one in offered)])
    return {one.name: np.arange(ends[i], ends[i + 1]) for i, one in enumerate(offered)}


def _missed(
    scaling: Scaling,
    readings: NDArray[np.float32],
    fields: Floats,
    places: tuple[Floats, NDArray[np.int64]],
    most_hours: int,
) -> _Missed | None:
    """Return what kriging of the standardised logarithm misses; None if too little is read to tell.

    `places` are the distances in km between stations, and the towns of these.
    """
    km, town = places
    full = np.flatnonzero(np.isfinite(readings).mean(axis=1) > 0.5)
    if len(full) < _MOST_HOURS // 4:
        return None
    hours = full[np.unique(np.linspace(0, len(full) - 1, most_hours).astype(int))]
    z = scaling.forward(readings[hours]).astype(np.float64)
    data = empirical_variogram(z, km)
    if len(data.km) < 6:
        return None
    variogram: Variogram = fit_variogram("two exponentials", data)
    alone = np.arange(len(km))
    parts = []
    for groups in (alone, town):
        estimate = leave_out(z, km, variogram, groups).estimate
        # By concentration: an error of a tenth counts for more where there is much.
        weight = np.where(np.isfinite(estimate), np.exp(np.nan_to_num(estimate) * scaling.std), 0.0)
        total = weight.sum(axis=0)
        mean = (weight * np.nan_to_num(z - estimate)).sum(axis=0) / np.maximum(total, 1e-9)
        neighbourhood = leave_out(np.ascontiguousarray(fields.T), km, variogram, groups).estimate.T
        known = (total > 0) & np.isfinite(neighbourhood).all(axis=1)
        parts.append((mean[known], (fields - neighbourhood)[known], total[known] / total[known].mean(), town[known]))
    return _Missed(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _earned(missed: _Missed, parts: Mapping[str, NDArray[np.intp]]) -> tuple[NDArray[np.intp], dict[str, float]]:
    """Return the columns that earn their place at towns left out, none if none do, and what they explain there.

    What is explained is a share of the misses: by ``all`` of the columns, by height and population alone
    (``built-in``), and by how much less without each static field.
    """
    built_in = np.arange(len(FIELDS))
    nothing = _by_town(missed, missed.residual**2)

    def left(names: Sequence[str]) -> Floats:
        return _left_over(missed, np.concatenate([built_in, *(parts[name] for name in names)]))[0]

    alone = left([])
    used, beside = list(parts), left(list(parts))
    while used:
        rest, name = min(((left([n for n in used if n != name]), name) for name in used), key=lambda one: one[0].sum())
        if rest.sum() > beside.sum() + _LEAST_BESIDE:
            break
        used.remove(name)
        beside = rest
    if not surely_gains(alone, beside):
        used, beside = [], alone
    if not surely_gains(nothing, beside):
        return built_in[:0], {}
    explained = {"all": 1.0 - beside.sum(), "built-in": 1.0 - alone.sum()}
    explained |= {name: left([other for other in used if other != name]).sum() - beside.sum() for name in used}
    columns = np.concatenate([built_in, *(parts[name] for name in used)])
    return columns, {name: round(float(value), 4) for name, value in explained.items()}


def surely_gains(before: Floats, after: Floats) -> bool:
    """Return whether what is left over at towns left out (town,), shares of all misses, falls enough, and surely."""
    gain = before - after
    return bool(gain.sum() >= max(_LEAST_EXPLAINED, _SURE * gain.std(ddof=1) * np.sqrt(len(gain))))


def _by_town(missed: _Missed, squares: Floats) -> Floats:
    """Return weighted sums of the squares (row,) over each town, as shares of all that is missed (town,)."""
    town = np.unique(missed.town, return_inverse=True)[1]
    return np.bincount(town, missed.weight * squares) / float((missed.weight * missed.residual**2).sum())


def _left_over(missed: _Missed, columns: NDArray[np.intp]) -> tuple[Floats, float]:
    """Return the share of the misses that columns leave at each town, left out, and the penalty by which they leave
    least.

    The rows are weighted, so a penalty is in units of stations.
    """
    towns = np.unique(missed.town)
    fold = (np.random.default_rng(0).permutation(len(towns)) % _FOLDS)[np.searchsorted(towns, missed.town)]
    guess = np.empty((len(_PENALTIES), len(fold)))
    for number in range(_FOLDS):
        away, here = fold != number, fold == number
        for i, penalty in enumerate(_PENALTIES):
            guess[i, here] = missed.fields[np.ix_(here, columns)] @ _ridge(missed, away, columns, penalty)
    left = np.stack([_by_town(missed, (missed.residual - one) ** 2) for one in guess])
    best = int(left.sum(axis=1).argmin())
    return left[best], _PENALTIES[best]


def _slopes(missed: _Missed, columns: NDArray[np.intp]) -> Floats:
    """Return the slopes on some columns by ridge regression, its penalty chosen at towns left out."""
    if not len(columns):
        return np.zeros(0)
    everywhere = np.ones(len(missed.town), dtype=bool)
    return _ridge(missed, everywhere, columns, _left_over(missed, columns)[1])


def _ridge(missed: _Missed, rows: NDArray[np.bool_], columns: NDArray[np.intp], penalty: float) -> Floats:
    # Without a constant: kriging takes it off with the mean.
    ridge = Ridge(alpha=penalty, fit_intercept=False)
    ridge.fit(missed.fields[np.ix_(rows, columns)], missed.residual[rows], missed.weight[rows])
    return np.asarray(ridge.coef_, np.float64)
