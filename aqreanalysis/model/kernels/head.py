"""The head over the places of a patch: features, three layers, location and scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import (
    HALF,
    ONE,
    TWO,
    ZERO,
    Array,
    compiled_in_order,
    exp,
    multiply,
    sigmoid,
)

# What keeps the root of the neighbours' disagreement, and the scale, off zero: as in `AQNet.estimate_at`.
_FLOOR, _LEAST_SCALE = np.float32(1e-4), np.float32(0.02)
_LOWEST_LOG, _HIGHEST_LOG = np.float32(-5.0), np.float32(3.0)
# Values of one feature at once: all features of them, forth and back, then stay in a processor's own cache.
_VALUES_AT_ONCE = 4096


@compiled_in_order
def describe_geometry(
    logs: Array, mixture: Array, near: tuple[Array, Array], halves: tuple[float, float, float]
) -> Array:
    """Return the static features of the head (band + 4, place), below them the logarithm of the scale to start from.

    Parameters
    ----------
    logs : float32 (kernel, place)
        Logarithms of the kriging variances.
    mixture : float32 (band, kernel)
        Shares of the models.
    near : tuple of float32
        Distance to the nearest station (place,); mean distance and crowd of the neighbours (place, 2).
    halves : tuple of float
        Distances at which the first three of the last four features are one half.
    """
    (bands, kernels), places = mixture.shape, logs.shape[1]
    nearest, around = near
    features = np.empty((bands + 5, places), np.float32)
    multiply(mixture, logs, features[:bands])
    first, second, third = np.float32(halves[0]), np.float32(halves[1]), np.float32(halves[2])
    mean = features[bands + 4]
    mean[:] = ZERO
    for kernel in range(kernels):
        for p in range(places):
            mean[p] += logs[kernel, p]
    for p in range(places):
        features[bands, p] = nearest[p] / (nearest[p] + first)
        features[bands + 1, p] = nearest[p] / (nearest[p] + second)
        features[bands + 2, p] = around[p, 0] / (around[p, 0] + third)
        mean[p] = HALF * (mean[p] / np.float32(kernels))
    for p in range(places):
        features[bands + 3, p] = np.log1p(around[p, 1])
    return features


@compiled_in_order
def mix_kernels(
    kernels: Array, mixture: Array, whole: int, stations: NDArray[np.int64], fields: Array, workspace: Array
) -> tuple[Array, Array, Array]:
    """Return what a patch needs once: weights (mixture, place, neighbour), non-negative weights (place, neighbour),
    and its neighbours' fields (field, neighbour, hour).

    Parameters
    ----------
    kernels : float32 (kernel, place, neighbour)
        Kriging weights of each covariance model.
    mixture : float32 (mixture, kernel)
        Shares of the models.
    whole : int
        The model whose weights say which neighbours are near.
    stations : int64 (neighbour,)
        Of the patch.
    fields : float32 (field, station, hour)
        Of all stations.
    workspace : float32
        Where the neighbours' fields are put, as large as `fields`: fresh memory for each patch cost a third more time.
    """
    models, places, neighbours = kernels.shape
    mixed = np.empty((len(mixture), places * neighbours), np.float32)
    multiply(mixture, kernels.reshape(models, places * neighbours), mixed)
    weights = mixed.reshape(-1, places, neighbours)
    nearby = np.empty((places, neighbours), np.float32)
    for p in range(places):
        for n in range(neighbours):
            nearby[p, n] = max(kernels[whole, p, n], ZERO)
        total = ZERO
        for n in range(neighbours):
            total += nearby[p, n]
        for n in range(neighbours):
            nearby[p, n] /= total
    neighbour_fields = workspace[: fields.shape[0] * neighbours * fields.shape[2]].reshape(
        fields.shape[0], neighbours, fields.shape[2]
    )
    for f in range(fields.shape[0]):
        for n in range(neighbours):
            neighbour_fields[f, n] = fields[f, stations[n]]
    return weights, nearby, neighbour_fields


@compiled_in_order
def _read(mixed: tuple[Array, Array, Array], begin: int, end: int, read: Array) -> None:
    """Fill the head's features (feature, place * hour): bands by mixture, disagreement, and what is learned."""
    weights, fields = mixed[0], mixed[2]
    nearby = mixed[1][begin:end]
    places, hours, bands = end - begin, fields.shape[2], weights.shape[0] // 2
    for band in range(bands):
        for mix in range(2):
            kriging = weights[2 * band + mix][begin:end]
            multiply(kriging, fields[band], read[2 * band + mix].reshape(places, hours))
    disagreement = read[2 * bands].reshape(places, hours)
    level = np.empty((places, hours), np.float32)
    multiply(nearby, fields[bands], level)
    multiply(nearby, fields[bands + 1], disagreement)
    for p in range(places):
        for h in range(hours):
            spread = disagreement[p, h] - level[p, h] * level[p, h]
            disagreement[p, h] = np.sqrt(max(spread, ZERO) + _FLOOR)
    for field in range(bands + 2, fields.shape[0]):
        multiply(nearby, fields[field], read[2 * bands + 1 + field - bands - 2].reshape(places, hours))


@compiled_in_order
def _read_beside(beside: tuple[Array, Array], begin: int, end: int, bands: int, read: Array) -> None:
    """Fill the last of the head's features (feature, place * hour): those of covariates, as of `estimate_block`."""
    features, known = beside
    count, hours = features.shape[0], features.shape[2]
    first = read.shape[0] - count
    for feature in range(count):
        read[first + feature] = features[feature, begin:end].reshape((end - begin) * hours)
    if known.size == 0:
        return
    # What the wind brings counts by how far it differs from what is kriged: the sum of the bands' mean mixtures.
    increment = read[read.shape[0] - 1]
    kriged = np.empty(hours, np.float32)
    for p in range(end - begin):
        values = slice(p * hours, (p + 1) * hours)
        kriged[:] = ZERO
        for band in range(bands):
            one, other = read[2 * band, values], read[2 * band + 1, values]
            for h in range(hours):
                kriged[h] += HALF * (one[h] + other[h])
        row = increment[values]
        for h in range(hours):
            row[h] = (row[h] - kriged[h]) * known[h]


@compiled_in_order
def _follow_wind(read: Array, out: Array, location: Array) -> None:
    """Move the location (place, hour) by the share of the wind's increment that the head's last output says."""
    places, hours = location.shape
    increment, share = read[read.shape[0] - 1], out[out.shape[0] - 1]
    for p in range(places):
        row = location[p]
        for h in range(hours):
            row[h] += share[p * hours + h] * increment[p * hours + h]


@compiled_in_order
def _head(
    read: Array,
    static: Array,
    clock: Array,
    layers: tuple[Array, Array, Array],
    inside: tuple[Array, Array],
    out: Array,
) -> None:
    """Fill the head's outputs (output, place * hour) from its features.

    Parameters
    ----------
    read : float32 (feature, place * hour)
    static : float32 (width, place)
        What geometry adds to the first layer.
    clock : float32 (width, hour)
        What the hours add to it, and its bias.
    layers : tuple of float32
        Weights of the three layers; the biases of the last two are their last columns.
    inside : tuple of float32
        Room for what the first two layers give, and a row for the bias below (width + 1, place * hour).
    out : float32 (output, place * hour)
    """
    first, inner, last = layers
    hidden, further = inside
    width, hours = clock.shape
    places = static.shape[1]
    multiply(first, read, hidden[:width])
    for w in range(width):
        for p in range(places):
            row = hidden[w, p * hours : (p + 1) * hours]
            for h in range(hours):
                x = row[h] + static[w, p] + clock[w, h]
                row[h] = x * sigmoid(x)
    hidden[width] = ONE
    multiply(inner, hidden, further[: inner.shape[0]])
    for w in range(inner.shape[0]):
        row = further[w]
        for v in range(row.size):
            row[v] = row[v] * sigmoid(row[v])
    further[inner.shape[0]] = ONE
    multiply(last, further, out)


@compiled_in_order
def _location_and_scale(read: Array, out: Array, log_scale: Array, location: Array, scale: Array) -> None:
    """Fill location and scale (place, hour) from features and outputs of the head; `log_scale` is (place,)."""
    places, hours = location.shape
    # Leans of each band, gains of all but the first, correction, log scale; with wind, its share.
    bands = (out.shape[0] - 1) // 2
    for p in range(places):
        values = slice(p * hours, (p + 1) * hours)
        location_row = location[p]
        location_row[:] = out[2 * bands - 1, values]
        for band in range(bands):
            one, other, lean = read[2 * band, values], read[2 * band + 1, values], out[band, values]
            if band == 0:
                for h in range(hours):
                    location_row[h] += other[h] + sigmoid(lean[h]) * (one[h] - other[h])
            else:
                gain = out[bands + band - 1, values]
                for h in range(hours):
                    chosen = other[h] + sigmoid(lean[h]) * (one[h] - other[h])
                    location_row[h] += TWO * sigmoid(gain[h]) * chosen
        raw, scale_row = out[2 * bands, values], scale[p]
        for h in range(hours):
            level = raw[h] + log_scale[p]
            level = _LOWEST_LOG if level < _LOWEST_LOG else (_HIGHEST_LOG if level > _HIGHEST_LOG else level)
            scale_row[h] = exp(level) + _LEAST_SCALE


@compiled_in_order
def estimate_block(
    mixed: tuple[Array, Array, Array],
    given: tuple[Array, Array, Array],
    clock: Array,
    layers: tuple[Array, Array, Array],
    beside: tuple[Array, Array],
    estimates: tuple[Array, Array, Array],
) -> None:
    """Fill location, scale and number of reporting neighbours of the places of one patch.

    Parameters
    ----------
    mixed : tuple of Array
        From `mix_kernels`.
    given : tuple of Array
        By place: what geometry adds to the head's first layer (width, place), logarithm of the scale to start from
        (place,), and what of each neighbour counts (place, neighbour).
    clock, layers
        As of `_head`.
    beside : tuple of float32
        Further features (feature, place, hour), none without covariates. With wind the last is what it brings; then
        also whether any station reported at the hour (hour,), else empty.
    estimates : tuple of Array
        Each float32 (place, hour).
    """
    fields = mixed[2]
    static, log_scale, count = given
    location, scale, reporting = estimates
    places, hours = location.shape
    bands = mixed[0].shape[0] // 2
    features, width, further, outputs = layers[0].shape[1], len(clock) + 1, len(layers[1]) + 1, len(layers[2])
    step = max(1, _VALUES_AT_ONCE // hours)
    workspace = np.empty(min(step, places) * hours * (features + width + further + outputs), np.float32)
    for begin in range(0, places, step):
        end = min(places, begin + step)
        values = (end - begin) * hours
        a, b, c = features * values, (features + width) * values, (features + width + further) * values
        read, out = (
            workspace[:a].reshape(features, values),
            workspace[c : c + outputs * values].reshape(outputs, values),
        )
        layer_outputs = workspace[a:b].reshape(width, values), workspace[b:c].reshape(further, values)
        _read(mixed, begin, end, read)
        _read_beside(beside, begin, end, bands, read)
        _head(read, static[:, begin:end], clock, layers, layer_outputs, out)
        _location_and_scale(read, out, log_scale[begin:end], location[begin:end], scale[begin:end])
        if beside[1].size > 0:
            _follow_wind(read, out, location[begin:end])
        multiply(count[begin:end], fields[bands + 2], reporting[begin:end])
