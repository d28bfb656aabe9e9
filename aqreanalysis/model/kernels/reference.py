"""The plain form of every compiled loop, in NumPy and double precision, and the table that holds each loop to its own.

A loop and its plain form take the same inputs and give the same outputs, to rounding. `KERNELS` lists the pairs with a
draw of inputs such as a sweep has; one test compares them all, and another repeats each loop with its arrays elsewhere
in memory. What is here is to be read first: the loops do the same in the order that a processor likes. Loops that fill
arrays in place are wrapped into functions that return them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, tangent_frames, unit_vectors
from aqreanalysis.model.kernels.attention import attention
from aqreanalysis.model.kernels.gap_filling import fill_gaps
from aqreanalysis.model.kernels.head import describe_geometry, estimate_block, mix_kernels
from aqreanalysis.model.kernels.kriging_batched import solve_kriging_batched
from aqreanalysis.model.kernels.kriging_shared import (
    LEAST_VARIANCE,
    SAME_PLACE,
    blend_lattice_weights,
    count_neighbours,
    covariances,
    invert_systems,
    project_stations,
)
from aqreanalysis.model.kernels.numba_setup import multiply
from aqreanalysis.model.kernels.reporting import find_reporting, widen_scale
from aqreanalysis.model.kernels.summary import exceed, summarise
from aqreanalysis.model.kernels.surroundings import add_drift, average_hours
from aqreanalysis.model.kernels.wind import average_sites, krige_advected, reading_covariances, solve_factored

Values = NDArray[Any]
Outputs = tuple[Values, ...]
Generator = np.random.Generator


@dataclass(frozen=True)
class Kernel:
    """A compiled loop beside the plain form that it must equal.

    Attributes
    ----------
    name : str
        Of the compiled function.
    loop, plain : callable
        Both take the arrays of `draw` and return the same outputs.
    draw : callable
        ``draw(rng, places, hours)`` returns inputs of so many places (stations, windows) and hours (steps, neighbours).
    tolerance : float
        By how much of the largest value of an output the two may differ.
    """

    name: str
    loop: Callable[..., Outputs]
    plain: Callable[..., Outputs]
    draw: Callable[[Generator, int, int], Outputs]
    tolerance: float = 1e-5


def _f32(values: Values) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _empty(*shape: int) -> NDArray[np.float32]:
    """Return room for what a loop fills."""
    return np.empty(shape, np.float32)


def _sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-x))


# Attention: the softmax of the products with the keys weighs the values.

_HEADS = 2


def plain_attention(query: Values, key_value: Values) -> Outputs:
    """Return what each query takes from its window (window, query, width); see `attention`."""
    keys, values = (_by_head(x) for x in np.split(key_value, 2, axis=-1))
    product = np.einsum("whqd,whsd->whqs", _by_head(query), keys) / np.sqrt(keys.shape[-1])
    share = np.exp(product - product.max(axis=-1, keepdims=True))
    taken = np.einsum("whqs,whsd->whqd", share / share.sum(axis=-1, keepdims=True), values)
    return (taken.transpose(0, 2, 1, 3).reshape(query.shape),)


def _by_head(x: Values) -> Values:
    """Return (window, head, step, part) of (window, step, width)."""
    return x.astype(np.float64).reshape(*x.shape[:2], _HEADS, -1).transpose(0, 2, 1, 3)


def _attend(query: Values, key_value: Values) -> Outputs:
    out = _empty(*query.shape)
    attention(query, key_value, _HEADS, out)
    return (out,)


def _draw_attention(rng: Generator, windows: int, steps: int) -> Outputs:
    return _f32(rng.normal(size=(windows, 3, 8))), _f32(3 * rng.normal(size=(windows, steps, 16)))


# Gaps: what the others say of a station, in rounds, each from the values of the one before.

_ROUNDS = 7


def filled_gaps(values: Values, observed: Values, weights: Values, stations: Values) -> Outputs:
    """Return (hour, station) with the gaps filled; see `fill_gaps`."""
    filled = values.astype(np.float64)
    for _ in range(_ROUNDS):
        filled = np.where(observed, values, np.einsum("sk,hsk->hs", weights, filled[:, stations]))
    return (filled,)


def _fill(values: Values, observed: Values, weights: Values, stations: Values) -> Outputs:
    filled = values.copy()
    fill_gaps(filled, observed, (weights, stations), _ROUNDS)
    return (filled,)


def _draw_gaps(rng: Generator, stations: int, hours: int) -> Outputs:
    stations += 4
    others = np.argsort(rng.random((stations, stations)) + 9 * np.eye(stations), axis=1)[:, :3]
    weights = rng.dirichlet(np.ones(3), stations)
    observed = rng.random((hours, stations)) < 0.6
    return _f32(rng.normal(size=(hours, stations))), observed, _f32(weights), others


# Kriging. A covariance model is a stretch of the plane and a shape: the inverse ranges of two exponentials and their
# shares. Weights are those of ordinary kriging.


def plain_covariances(position: Values, metrics: Values, shapes: Values) -> Values:
    """Return the covariance over distances in the plane (model, ...) of east and north in km (2, ...)."""
    by_model = []
    for (a, b, c), (short, long, share) in zip(metrics.astype(np.float64), shapes.astype(np.float64), strict=True):
        x, y = position.astype(np.float64)
        distance = np.sqrt((a * x + b * y) ** 2 + (b * x + c * y) ** 2 + SAME_PLACE)
        by_model.append((1 - share) * np.exp(-distance * short) + share * np.exp(-distance * long))
    return np.stack(by_model)


def _systems(position: Values, noise: Values, metrics: Values, shapes: Values) -> Values:
    """Return the kriging systems (model, place, k, k) of neighbours (place, k, 2) and their noise (model, place, k)."""
    apart = np.moveaxis(position[:, :, None] - position[:, None, :], -1, 0)
    return plain_covariances(apart, metrics, shapes) + noise[..., None] * np.eye(noise.shape[-1])


def kriging_weights(position: Values, noise: Values, metrics: Values, shapes: Values) -> Outputs:
    """Return weights (model, place, k) and variances (model, place) of each place; see `solve_kriging_batched`."""
    systems = _systems(position, noise, metrics, shapes)
    to_places = plain_covariances(np.moveaxis(position, -1, 0), metrics, shapes)
    simple, flat = np.moveaxis(np.linalg.solve(systems, np.stack((to_places, np.ones_like(to_places)), axis=-1)), -1, 0)
    missing, total = 1 - simple.sum(axis=-1), flat.sum(axis=-1)
    variance = 1 - (simple * to_places).sum(axis=-1) + missing**2 / total
    return simple + flat * (missing / total)[..., None], np.maximum(variance, 0) + LEAST_VARIANCE


def inverted_systems(position: Values, noise: Values, metrics: Values, shapes: Values) -> Outputs:
    """Return products, offsets and ends of the systems; see `invert_systems`."""
    inverse = np.linalg.inv(_systems(position, noise, metrics, shapes))
    flat = inverse.sum(axis=-1)
    total = flat.sum(axis=-1)
    offsets = flat / total[..., None]
    return inverse - flat[..., :, None] * offsets[..., None, :], offsets, 1 / total


def blended_weights(to_places: Values, shares: Values, nodes: Values, local: Values, *systems: Values) -> Outputs:
    """Return weights (model, place, station) and variances (model, place) of a square; see `blend_lattice_weights`."""
    products, offsets, ends = (part.astype(np.float64) for part in systems)
    models, stations, places = to_places.shape
    weights, variance = np.zeros((models, places, stations)), np.ones((models, places))
    for node, own, share in zip(nodes, local, shares, strict=True):
        toward = to_places[:, own].transpose(0, 2, 1)
        corner = toward @ products[:, node] + offsets[:, node, None]
        weights[..., own] += share[:, None] * corner
        variance += share * (ends[:, node, None] - (toward * (corner + offsets[:, node, None])).sum(axis=-1))
    return weights, np.maximum(variance, 0) + LEAST_VARIANCE


def stations_seen(frames: Values, stations: Values) -> Outputs:
    """Return east and north (2, station, place) and distance (station, place) in km; see `project_stations`."""
    up, east, north = np.einsum("pac,nc->anp", frames.astype(np.float64), stations)
    across = np.hypot(east, north)
    distance = EARTH_RADIUS_KM * np.arctan2(across, up)
    return np.stack((east, north)) * (distance / np.maximum(across, 1e-9)), distance


_CROWD_KM = 40.0


def neighbours_counted(distance: Values, shares: Values, local: Values) -> Outputs:
    """Return what each station counts (place, station), mean distance and crowd (place, 2); see `count_neighbours`."""
    count = np.zeros(distance.T.shape)
    for own, share in zip(local, shares, strict=True):
        count[:, own] += share[:, None]
    far = distance.T.astype(np.float64)
    mean = (count * far).sum(axis=1) / local.shape[1]
    return count, np.stack((mean, (count / (1 + (far / _CROWD_KM) ** 2)).sum(axis=1)), axis=-1)


def _krige(position: Values, noise: Values, metrics: Values, shapes: Values) -> Outputs:
    solution = _empty(*noise.shape), _empty(*noise.shape[:2])
    solve_kriging_batched(position, noise, metrics, shapes, solution)
    return solution


def _invert(position: Values, noise: Values, metrics: Values, shapes: Values) -> Outputs:
    models, nodes, k = noise.shape
    inverses = _empty(models, nodes, k, k), _empty(models, nodes, k), _empty(models, nodes)
    invert_systems(position, noise, metrics, shapes, inverses)
    return inverses


def _blend(to_places: Values, shares: Values, nodes: Values, local: Values, *systems: Values) -> Outputs:
    weights, variance = blend_lattice_weights(to_places, shares, (nodes, local), systems)
    return weights, variance


def _draw_models(rng: Generator, models: int) -> Outputs:
    metrics = np.stack((rng.uniform(0.8, 1.2, models), rng.uniform(-0.1, 0.1, models), rng.uniform(0.8, 1.2, models)))
    shapes = np.stack((1 / rng.uniform(20, 90, models), 1 / rng.uniform(300, 900, models), rng.uniform(0, 1, models)))
    return _f32(metrics.T), _f32(shapes.T)


def _draw_systems(rng: Generator, places: int, k: int) -> Outputs:
    noise = rng.uniform(0.05, 0.5, (2, places, k))
    return _f32(rng.normal(0, 40, (places, k, 2))), _f32(noise), *_draw_models(rng, 2)


def _draw_positions(rng: Generator, places: int, stations: int) -> Outputs:
    return _f32(rng.normal(0, 40, (2, stations, places))), *_draw_models(rng, 3)


def _draw_globe(rng: Generator, places: int, stations: int) -> Outputs:
    lat, lon = rng.uniform(-90, 90, places + stations), rng.uniform(-180, 180, places + stations)
    return _f32(tangent_frames(lat[:places], lon[:places])), _f32(unit_vectors(lat[places:], lon[places:]))


def _draw_counts(rng: Generator, places: int, k: int) -> Outputs:
    local = np.stack([rng.permutation(k + 3)[:k] for _ in range(4)])
    return _f32(rng.uniform(0, 90, (k + 3, places))), _f32(rng.dirichlet(np.ones(4), places).T), local


def _draw_square(rng: Generator, places: int, k: int) -> Outputs:
    stations = k + 3
    local = np.stack([rng.permutation(stations)[:k] for _ in range(4)])
    systems = inverted_systems(*_draw_systems(rng, 6, k))
    to_places = rng.uniform(0, 1, (2, stations, places))
    shares = rng.dirichlet(np.ones(4), places).T
    return _f32(to_places), _f32(shares), rng.permutation(6)[:4], local, *(_f32(part) for part in systems)


# The head: fields of the stations, mixed for each place, through three layers.


def mixed_kernels(kernels: Values, mixture: Values, fields: Values, stations: Values) -> Outputs:
    """Return mixtures of weights, the non-negative weights of model one, fields of some stations; see `mix_kernels`."""
    nearby = np.maximum(kernels[1].astype(np.float64), 0)
    return np.tensordot(mixture, kernels, 1), nearby / nearby.sum(axis=-1, keepdims=True), fields[:, stations]


def estimates(*given: Values) -> Outputs:
    """Return location, scale and number of reporting neighbours (place, hour); see `estimate_block`.

    `given` is what that takes, one array after the other: mixed, features of places, clock, layers, and those beside.
    """
    weights, nearby, fields, static, log_scale, count, clock, first, inner, last, beside, known = given
    bands = len(weights) // 2
    fields = fields.astype(np.float64)
    kriged = np.einsum("bxpn,bnh->bxph", weights.reshape(bands, 2, *weights.shape[1:]), fields[:bands])
    near = np.einsum("pn,fnh->fph", nearby, fields[bands:])
    disagreement = np.sqrt(np.maximum(near[1] - near[0] ** 2, 0) + 1e-4)
    beside, wind = beside.astype(np.float64), known.size > 0
    if wind:
        beside[-1] = (beside[-1] - kriged.mean(axis=1).sum(axis=0)) * known
    features = np.concatenate((kriged.reshape(-1, *kriged.shape[2:]), disagreement[None], near[2:], beside))
    hidden = np.einsum("wf,fph->wph", first, features) + static[:, :, None] + clock[:, None]
    for layer in (inner, last):
        hidden = hidden * _sigmoid(hidden)
        hidden = np.einsum("ow,wph->oph", layer[:, :-1], hidden) + layer[:, -1, None, None]
        if layer is inner:
            continue
        leans, gains, (correction, spread) = np.split(hidden[: 2 * bands + 1], (bands, 2 * bands - 1))
    chosen = kriged[:, 1] + _sigmoid(leans) * (kriged[:, 0] - kriged[:, 1])
    location = correction + chosen[0] + (2 * _sigmoid(gains) * chosen[1:]).sum(axis=0)
    if wind:
        location += hidden[-1] * beside[-1]
    return location, np.exp(np.clip(spread + log_scale[:, None], -5, 3)) + 0.02, count @ fields[bands + 2]


_HALVES = 5.0, 40.0, 150.0


def places_described(logs: Values, mixture: Values, nearest: Values, around: Values) -> Outputs:
    """Return static features and the logarithm of the scale (feature, place); see `describe_geometry`."""
    mean, crowd = around.T.astype(np.float64)
    shares = [x / (x + half) for x, half in zip((nearest.astype(np.float64), nearest, mean), _HALVES, strict=True)]
    return (np.concatenate((mixture @ logs, shares, np.log1p(crowd)[None], 0.5 * logs.mean(axis=0)[None])),)


def _draw_places(rng: Generator, places: int, kernels: int) -> Outputs:
    mixture = rng.dirichlet(np.ones(kernels), 3)
    nearest, around = rng.uniform(0, 90, places), rng.uniform(0, 90, (places, 2))
    return _f32(rng.normal(size=(kernels, places))), _f32(mixture), _f32(nearest), _f32(around)


def _multiply(left: Values, right: Values) -> Outputs:
    product = _empty(len(left), right.shape[1])
    multiply(left, right, product)
    return (product,)


def _draw_factors(rng: Generator, rows: int, inner: int) -> Outputs:
    return _f32(rng.normal(size=(rows, inner))), _f32(rng.normal(size=(inner, 53)))


def _mix(kernels: Values, mixture: Values, fields: Values, stations: Values) -> Outputs:
    weights, nearby, own = mix_kernels(kernels, mixture, 1, stations, fields, _empty(fields.size))
    return weights, nearby, own.copy()


def _estimate(*given: Values) -> Outputs:
    estimates = tuple(_empty(given[1].shape[0], given[2].shape[2]) for _ in range(3))
    estimate_block(given[:3], given[3:6], given[6], given[7:10], given[10:], estimates)
    return estimates


def _draw_kernels(rng: Generator, places: int, neighbours: int) -> Outputs:
    kernels, fields = rng.normal(0.3, 1, (3, places, neighbours)), rng.normal(size=(5, neighbours + 6, 4))
    return _f32(kernels), _f32(rng.dirichlet(np.ones(3), 6)), _f32(fields), rng.permutation(neighbours + 6)[:neighbours]


def _draw_head(rng: Generator, places: int, hours: int, beside: int = 0) -> Outputs:
    def some(*shape: int) -> Values:
        return _f32(0.5 * rng.normal(size=shape))

    weights, nearby = some(6, places, 11), _f32(rng.dirichlet(np.ones(11), places))
    fields = some(8, 11, hours)
    fields[4] = fields[3] ** 2
    layers = some(8, 10 + beside), some(7, 9), some(8 if beside else 7, 8)
    covariates = some(beside, places, hours), _f32(rng.integers(0, 2, hours if beside else 0))
    given = some(8, places), some(places), abs(some(places, 11)), some(8, hours)
    return weights, nearby, fields, *given, *layers, *covariates


def _draw_head_with_covariates(rng: Generator, places: int, hours: int) -> Outputs:
    return _draw_head(rng, places, hours, beside=3)


# What a cube tells: quantiles and moments of shifted log-normal distributions of a tabled shape.

_OFFSET = 2.0


def _entry_shares(entry: Values, distances: Values, gaps: Values) -> Values:
    """Return what each entry of a table counts (..., entry): distances from zero on, gaps below it."""
    shares = np.zeros((*entry.shape, len(distances) + len(gaps)))
    for own, nodes, first in ((entry >= 0, distances, 0), (entry < 0, gaps, len(distances))):
        way = np.clip((np.abs(entry[own])[:, None] - nodes[:-1]) / np.diff(nodes), 0, 1)
        passed = np.pad(way * way * (3 - 2 * way), ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        shares[own, first : first + len(nodes)] = -np.diff(passed)
    return shares


def _tables_at_hours(near: Values, table: Values, where: tuple[Values, ...]) -> Values:
    """Return the table (row, level) of each place and hour, from `where` of `summarise` less its levels."""
    distances, gaps, usual, at_hour = where
    own = np.where((at_hour == usual[:, None])[..., None], near[:, None], _entry_shares(at_hour, distances, gaps))
    return np.einsum("phd,drl->phrl", own, table)


def _shapes(standardised: Values, tables: Values, nodes: Values) -> Values:
    """Return the rows of each (place, hour)'s table at its level (place, hour, row)."""
    way = np.clip((standardised[..., None].astype(np.float64) - nodes[:-1]) / np.diff(nodes), 0, 1)
    passed = way * way * (3 - 2 * way)
    return tables[..., 0] + np.einsum("phl,phrl->phr", passed, np.diff(tables, axis=-1))


def summaries(
    standardised: Values,
    location: Values,
    scale: Values,
    near: Values,
    table: Values,
    shares: Values,
    nodes: Values,
    *where: Values,
) -> Outputs:
    """Return median, mean, standard error, lower and upper bound (5, hour, place); see `summarise`."""
    shape = _shapes(standardised, _tables_at_hours(near, table, where), nodes)
    value = np.maximum(np.exp(location[..., None] + scale[..., None] * shape) - _OFFSET, 0)
    median, lower, upper = np.moveaxis(value[..., :3], -1, 0)
    mean = value[..., 3:] @ shares
    error = np.sqrt(np.maximum((value[..., 3:] - mean[..., None]) ** 2 @ shares, 0))
    return (np.stack((median, mean, error, lower, upper)).transpose(0, 2, 1),)


_LIMIT = 2.3


def exceedances(
    standardised: Values, location: Values, scale: Values, near: Values, table: Values, nodes: Values, *where: Values
) -> Outputs:
    """Return the probability that the logarithm exceeds a limit (hour, place); see `exceed`."""
    quantiles = _shapes(standardised, _tables_at_hours(near, table, where), nodes)
    standard = ((_LIMIT - location) / scale)[..., None]
    below = np.clip((standard - quantiles[..., :-1]) / np.diff(quantiles), 0, 1).sum(axis=-1)
    return (1 - np.minimum((0.5 + below) / quantiles.shape[-1], 1).T,)


def _exceed(*given: Values) -> Outputs:
    probability = _empty(*reversed(given[0].shape))
    exceed(given[:3], given[3:5], given[5:], _LIMIT, probability)
    return (probability,)


def _draw_exceedances(rng: Generator, places: int, hours: int) -> Outputs:
    drawn = _draw_distributions(rng, places, hours)
    return *drawn[:5], *drawn[6:]


def _summarise(*given: Values) -> Outputs:
    summary = _empty(5, *reversed(given[0].shape))
    summarise(given[:3], given[3:6], given[6:], _OFFSET, summary)
    return (summary,)


def _draw_distributions(rng: Generator, places: int, hours: int) -> Outputs:
    table = np.sort(rng.normal(size=(4, 12, 5)), axis=1)
    shares, nodes = rng.dirichlet(np.ones(9)), np.linspace(-1.5, 1.5, 5)
    values = (
        rng.normal(size=(places, hours)),
        rng.normal(2, 0.5, (places, hours)),
        rng.uniform(0.1, 0.8, (places, hours)),
    )
    # At most hours the nearest station reports; at some another one, or none for a while.
    distances, gaps, usual = np.array([2.0, 40.0]), np.array([1.0, 30.0]), rng.uniform(0, 50, places).astype(np.float32)
    others = rng.choice(np.array([11, 90, np.inf, -3, -40]), (places, hours))
    at_hour = np.where(rng.random((places, hours)) < 0.8, usual[:, None], others)
    near = _entry_shares(usual, distances, gaps)
    return tuple(_f32(part) for part in (*values, near, table, shares, nodes, distances, gaps, usual, at_hour))


# Which station reports.


def reporting_stations(index: Values, km: Values, reports: Values) -> Outputs:
    """Return one over the distance to the nearest that reports (place, hour), and what stays open; see
    `find_reporting`."""
    listed = reports[index]  # (place, listed, hour)
    km_reporting = np.where(listed, km[..., None], np.inf).min(axis=1)
    return 1 / km_reporting, 1.0 * (np.isinf(km_reporting) & reports.any(axis=0)).any(axis=1)


def widened_scales(scale: Values, nearest: Values, reporting: Values, nodes: Values, log_scale: Values) -> Outputs:
    """Return the scales (place, hour); see `widen_scale`."""
    near, far = (_entry_shares(np.log1p(x), nodes, nodes) @ np.tile(log_scale, 2) for x in (nearest, reporting))
    return (scale * np.exp(far - near[:, None]),)


def _find_reporting(index: Values, km: Values, reports: Values) -> Outputs:
    km_reporting, unresolved = _empty(len(index), reports.shape[1]), np.empty(len(index), np.bool_)
    find_reporting(index, km, reports, km_reporting, unresolved)
    return 1 / km_reporting, 1.0 * unresolved


def _widen(scale: Values, *given: Values) -> Outputs:
    wider = scale.copy()
    widen_scale(wider, *given)
    return (wider,)


def _draw_reports(rng: Generator, places: int, hours: int) -> Outputs:
    index = np.stack([rng.permutation(9)[:4] for _ in range(places)]).astype(np.int32)
    reports = rng.random((9, hours)) < 0.6
    reports[:, 0] = False
    reports[8] = True
    reports[8, 0] = False
    return index, _f32(np.sort(rng.uniform(0, 90, (places, 4)), axis=1)), reports


def _draw_scales(rng: Generator, places: int, hours: int) -> Outputs:
    nearest = rng.uniform(0, 90, places)
    reporting = np.where(rng.random((places, hours)) < 0.7, nearest[:, None], nearest[:, None] + rng.choice([9, 70]))
    nodes, log_scale = np.log1p([0, 10, 80]), np.array([-1.5, -1.0, -0.2])
    return tuple(_f32(part) for part in (rng.uniform(0.1, 0.8, (places, hours)), nearest, reporting, nodes, log_scale))


# Covariates: averages along the hours, and what the wind brings.

_LEAST_KNOWN = 0.05


def hours_averaged(series: Values, weights: Values) -> Outputs:
    """Return averages of what is known, and minus one where nothing is (feature, place, hour); see `average_hours`."""
    taps, known = weights.shape[-1], np.isfinite(series)
    around = np.lib.stride_tricks.sliding_window_view
    sums, shares = (
        np.einsum("fpht,fat->faph", around(part.astype(np.float64), taps, axis=-1), weights)
        for part in (np.where(known, series, 0.0), known)
    )
    half = taps // 2
    missing = known[..., half : known.shape[-1] - half] - 1.0
    averages = sums / np.maximum(shares, _LEAST_KNOWN)
    return (np.concatenate((averages.reshape(-1, *averages.shape[2:]), missing)),)


def _average_hours(series: Values, weights: Values) -> Outputs:
    fields, averages, taps = weights.shape
    out = _empty(fields * (averages + 1), series.shape[1], series.shape[2] - taps + 1)
    average_hours(series, weights, out)
    return (out,)


def _draw_series(rng: Generator, places: int, hours: int) -> Outputs:
    series = rng.normal(size=(2, places, hours + 24))
    series[0, ::2] = np.where(rng.random(series[0, ::2].shape) < 0.3, np.nan, series[0, ::2])
    return _f32(series), _f32(rng.dirichlet(np.ones(25), (2, 2)))


_WIND_BASE_KM = 500.0


def drifted(series: Values, table: Values, slopes: Values, constant: Values, start: Values) -> Outputs:
    """Return `start` (place, hour) with the regression on the fields added; see `add_drift`."""
    reach = (series.shape[2] - start.shape[1]) // 2
    days = start.shape[1] // 24
    low, high, amount, std, mean, offset = table.astype(np.float64)[:, :, None, None]
    slope, constant = (np.tile(part.astype(np.float64), days) for part in (slopes, constant))
    inside = np.clip(np.nan_to_num(series[:, :, reach:-reach].astype(np.float64)), low, high)
    total = (amount * np.maximum(np.exp(inside * std + mean) - offset, 0)).sum(axis=0)
    return (start + (slope[:-1, None] * inside).sum(axis=0) + slope[-1] * np.log1p(np.maximum(total, -0.9)) + constant,)


def _drift(series: Values, table: Values, slopes: Values, constant: Values, start: Values) -> Outputs:
    out = _empty(*start.shape)
    out[:] = start
    add_drift(series, table, slopes, constant, out)
    return (out,)


def _draw_drift(rng: Generator, places: int, hours: int) -> Outputs:
    hours = 24 * (hours // 24 + 1)
    series, _ = _draw_series(rng, places, hours)
    bounds = np.stack((rng.uniform(-2, -1, 2), rng.uniform(0, 1, 2)))
    logarithms = np.array([[0.7, 0.0], [0.6, 1.0], [1.5, 0.5], [0.4, 0.3]])  # the second is no concentration
    table, by_hour = np.concatenate((bounds, logarithms)), (rng.normal(size=(n, 24)) for n in (3, places))
    parts = table, *by_hour, rng.normal(size=(places, hours))
    return series, *(_f32(part) for part in parts)


def sites_averaged(points: Values, sites: Values, base: Values, mean: Values) -> Outputs:
    """Return what is like the sites around (target, place, hour); see `average_sites`."""
    share = np.exp(-np.linalg.norm(points.T[:, None].astype(np.float64) - sites.T, axis=-1) / _WIND_BASE_KM)
    return (np.einsum("pg,tgh->tph", share / share.sum(axis=1, keepdims=True), base) + mean[:, None],)


def readings_brought(*given: Values) -> Outputs:
    """Return what the readings bring, and how much is known, with those far away through nodes; see `krige_advected`.

    `given` is what that takes, one array after the other: the square, the readings, the covariance.
    """
    cells, nodes, shares, centre, where, weight, amplitudes, rates = given
    away = np.sqrt(((where[:, :3] - centre[None, :3, None]) ** 2).sum(axis=1) + where[:, 3] ** 2)
    far = away > centre[3]
    near = _readings_at(cells, where, weight, amplitudes * ~far[:, None], rates)
    sums = near + np.einsum("rnh,np->rph", _readings_at(nodes, where, weight, amplitudes * far[:, None], rates), shares)
    return (np.concatenate((sums[:-2], np.maximum(sums[-2:], 0) / (1 + np.maximum(sums[-2:], 0)))),)


def _readings_at(points: Values, where: Values, weight: Values, amplitudes: Values, rates: Values) -> Values:
    """Return sums over the readings (target + 2, point, hour); amplitudes are (hour, 2, reading)."""
    apart = points[None, :, :, None].astype(np.float64) - where[:, :3, None]  # (hour, 3, point, reading)
    distance = np.sqrt((apart**2).sum(axis=1) + where[:, 3, None] ** 2)
    covariance = sum(
        a[:, None] * np.exp(-distance * rate) for a, rate in zip(amplitudes.swapaxes(0, 1), rates, strict=True)
    )
    brought = np.einsum("htr,hpr->tph", weight, covariance)
    return np.concatenate((brought, [(covariance**power).sum(axis=-1).T for power in (2, 8)]))


def _average_sites(points: Values, sites: Values, base: Values, mean: Values) -> Outputs:
    out = _empty(len(base) + 2, points.shape[1], base.shape[2])
    average_sites(points, sites, _WIND_BASE_KM, base, mean, out)
    return (out[:-2],)


def _bring(*given: Values) -> Outputs:
    out = _empty(given[5].shape[1] + 2, given[0].shape[1], len(given[4]))
    out[:] = 0
    krige_advected(given[:4], given[4], given[5], given[6:], out)
    return (out,)


def _draw_sites(rng: Generator, places: int, hours: int) -> Outputs:
    points, sites = rng.normal(0, 300, (3, places)), rng.normal(0, 300, (3, 9))
    return _f32(points), _f32(sites), _f32(rng.normal(size=(2, 9, hours))), _f32(rng.normal(size=(2, hours)))


def _draw_airborne(rng: Generator, places: int, hours: int) -> Outputs:
    cells, nodes = rng.normal(0, 20, (3, places)), rng.normal(0, 20, (3, 16))
    where = np.concatenate((rng.normal(0, 60, (hours, 3, 11)), rng.uniform(0, 9, (hours, 1, 11))), axis=1)
    amplitudes, rates = rng.uniform(0.1, 0.5, (2, 11)), np.array((1 / 40, 1 / 80))
    shares = rng.dirichlet(np.ones(16), places).T
    parts = cells, nodes, shares, np.array((0, 0, 0, 90)), where, rng.normal(size=(hours, 2, 11)), amplitudes, rates
    return tuple(_f32(part) for part in parts)


def covariances_of_readings(
    where: Values, near: Values, far: Values, rates: Values, shared: Values, own: Values
) -> Outputs:
    """Return the covariances of the readings of an hour, with noise (reading, reading); see `reading_covariances`."""
    sites, lags = shared.shape[:2]
    apart = where[:, None].astype(np.float64) - where
    distance = np.sqrt((apart**2).sum(axis=-1))
    amplitudes = (np.tile(part, (sites, sites)) for part in (near, far))
    among = sum(a * np.exp(-distance * rate) for a, rate in zip(amplitudes, rates, strict=True)) + np.diag(own)
    for site in range(sites):
        within = slice(site * lags, (site + 1) * lags)
        among[within, within] += shared[site]
    return (among,)


def _covary(where: Values, near: Values, far: Values, rates: Values, shared: Values, own: Values) -> Outputs:
    out = _empty(len(where), len(where))
    reading_covariances(where, (near, far, rates), (shared, own), out)
    return (out,)


def _draw_readings(rng: Generator, sites: int, lags: int) -> Outputs:
    count = min(lags, 5)
    parts = rng.normal(0, 60, (sites * count, 4)), *rng.uniform(0.1, 0.5, (2, count, count)), np.array((1 / 40, 1 / 80))
    return tuple(
        _f32(part) for part in (*parts, rng.uniform(size=(sites, count, count)), rng.uniform(size=sites * count))
    )


def _solve(factor: Values, right: Values) -> Outputs:
    out = _empty(*right.shape)
    out[:] = right
    solve_factored(factor, out)
    return (out,)


def _draw_factor(rng: Generator, size: int, columns: int) -> Outputs:
    spread = rng.normal(size=(size, size)) / np.sqrt(size)
    return _f32(np.linalg.cholesky(spread @ spread.T + np.eye(size))), _f32(rng.normal(size=(size, columns)))


KERNELS = (
    Kernel("attention", _attend, plain_attention, _draw_attention),
    Kernel("fill_gaps", _fill, filled_gaps, _draw_gaps),
    Kernel("project_stations", lambda *x: project_stations(*x), stations_seen, _draw_globe),
    Kernel("count_neighbours", lambda *x: count_neighbours(*x, _CROWD_KM), neighbours_counted, _draw_counts),
    Kernel("covariances", lambda *x: (covariances(*x),), lambda *x: (plain_covariances(*x),), _draw_positions),
    Kernel("solve_kriging_batched", _krige, kriging_weights, _draw_systems, 1e-4),
    Kernel("invert_systems", _invert, inverted_systems, _draw_systems, 1e-4),
    Kernel("blend_lattice_weights", _blend, blended_weights, _draw_square, 1e-4),
    Kernel("multiply", _multiply, lambda *x: (x[0].astype(np.float64) @ x[1],), _draw_factors),
    Kernel(
        "describe_geometry", lambda a, b, *x: (describe_geometry(a, b, x, _HALVES),), places_described, _draw_places
    ),
    Kernel("mix_kernels", _mix, mixed_kernels, _draw_kernels),
    Kernel("estimate_block", _estimate, estimates, _draw_head, 2e-5),
    Kernel("estimate_block", _estimate, estimates, _draw_head_with_covariates, 2e-5),
    Kernel("find_reporting", _find_reporting, reporting_stations, _draw_reports),
    Kernel("widen_scale", _widen, widened_scales, _draw_scales),
    Kernel("summarise", _summarise, summaries, _draw_distributions, 2e-5),
    Kernel("add_drift", _drift, drifted, _draw_drift),
    Kernel("average_hours", _average_hours, hours_averaged, _draw_series),
    Kernel("average_sites", _average_sites, sites_averaged, _draw_sites),
    Kernel("krige_advected", _bring, readings_brought, _draw_airborne),
    Kernel("reading_covariances", _covary, covariances_of_readings, _draw_readings),
    Kernel(
        "solve_factored",
        _solve,
        lambda factor, right: (np.linalg.solve(factor.astype(np.float64) @ factor.T, right),),
        _draw_factor,
    ),
    Kernel("exceed", _exceed, exceedances, _draw_exceedances, 2e-5),
)
