"""Kriging weights of the places of a square, from systems that its corners share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM
from aqreanalysis.model.kernels.numba_setup import ONE, ZERO, Array, arc, compiled, compiled_in_order, exp, multiply

# What keeps the distance to a station at the place itself, in square km, and a kriging variance off zero: as in
# `NeuralKNN`.
SAME_PLACE, LEAST_VARIANCE = np.float32(1e-6), np.float32(1e-4)
_RADIUS_KM, _NOT_ZERO = np.float32(EARTH_RADIUS_KM), np.float32(1e-9)


@compiled_in_order
def project_stations(frames: Array, stations: Array) -> tuple[Array, Array]:
    """Return east and north of stations seen from places, km (2, station, place), and their distances (station, place).

    Parameters
    ----------
    frames : float32 (place, 3, 3)
        Unit vectors up, east and north at each place.
    stations : float32 (station, 3)
        Unit vectors.
    """
    places, count = len(frames), len(stations)
    turned = np.empty((3, 3, places), np.float32)
    for p in range(places):
        for axis in range(3):
            for part in range(3):
                turned[axis, part, p] = frames[p, axis, part]
    position, distance = np.empty((2, count, places), np.float32), np.empty((count, places), np.float32)
    up, sideways, ahead = turned[0], turned[1], turned[2]
    for n in range(count):
        x, y, z = stations[n, 0], stations[n, 1], stations[n, 2]
        for p in range(places):
            height = x * up[0, p] + y * up[1, p] + z * up[2, p]
            east = x * sideways[0, p] + y * sideways[1, p] + z * sideways[2, p]
            north = x * ahead[0, p] + y * ahead[1, p] + z * ahead[2, p]
            across = np.sqrt(east * east + north * north)
            away = _RADIUS_KM * arc(across, height)
            unit = away / max(across, _NOT_ZERO)
            position[0, n, p], position[1, n, p], distance[n, p] = east * unit, north * unit, away
    return position, distance


@compiled_in_order
def count_neighbours(distance: Array, shares: Array, local: NDArray[np.int64], crowd_km: float) -> tuple[Array, Array]:
    """Return what of each station counts as one of a place's k neighbours (place, station), and of those the mean
    distance in km and how crowded they stand (place, 2).

    Parameters
    ----------
    distance : float32 (station, place)
        km.
    shares : float32 (4, place)
        What each corner of the square counts at each place.
    local : int64 (4, k)
        Where the neighbours of each corner stand among the stations.
    crowd_km : float
        Distance at which a neighbour counts half to how crowded they stand.
    """
    stations, places = distance.shape
    corners, k = local.shape
    one, half = np.zeros((stations, places), np.float32), np.float32(crowd_km)
    for corner in range(corners):
        for n in range(k):
            row, share = one[local[corner, n]], shares[corner]
            for p in range(places):
                row[p] += share[p]
    mean, crowd = np.zeros(places, np.float32), np.zeros(places, np.float32)
    count, described = np.empty((places, stations), np.float32), np.empty((places, 2), np.float32)
    for n in range(stations):
        counted, away = one[n], distance[n]
        for p in range(places):
            near = away[p] / half
            mean[p] += counted[p] * away[p]
            crowd[p] += counted[p] / (ONE + near * near)
        for p in range(places):
            count[p, n] = counted[p]
    for p in range(places):
        described[p, 0], described[p, 1] = mean[p] / np.float32(k), crowd[p]
    return count, described


@compiled_in_order
def covariances(position: Array, metrics: Array, shapes: Array) -> Array:
    """Return the covariance of stations with places by each model, float32 (model, station, place).

    Parameters
    ----------
    position : float32 (2, station, place)
        East and north in km.
    metrics : float32 (model, 3)
        Of each model's symmetric stretch of the plane: east to east, east to north, north to north.
    shapes : float32 (model, 3)
        One over the short and the long range in km, and the share of the long one.
    """
    models, (_, stations, places) = len(metrics), position.shape
    covariance = np.empty((models, stations, places), np.float32)
    for m in range(models):
        a, b, c = metrics[m, 0], metrics[m, 1], metrics[m, 2]
        short, long, share = shapes[m, 0], shapes[m, 1], shapes[m, 2]
        for n in range(stations):
            row, x, y = covariance[m, n], position[0, n], position[1, n]
            for p in range(places):
                east = x[p] * a + y[p] * b
                north = x[p] * b + y[p] * c
                distance = np.sqrt(east * east + north * north + SAME_PLACE)
                row[p] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
    return covariance


@compiled_in_order
def blend_lattice_weights(
    cov_to_place: Array,
    fractions: Array,
    corners: tuple[NDArray[np.int64], NDArray[np.int64]],
    systems: tuple[Array, Array, Array],
) -> tuple[Array, Array]:
    """Return weights (model, place, station) and kriging variances (model, place) of the places of one square.

    Parameters
    ----------
    cov_to_place : float32 (model, station, place)
        Covariance of the stations with each place.
    fractions : float32 (4, place)
        What each corner's solution counts at each place.
    corners : tuple of int64
        Node of each corner (4,), and its neighbours among the stations (4, k).
    systems : tuple of float32
        Of all nodes: products (model, node, k, k), symmetric, offsets (model, node, k), ends (model, node); see
        `LatticeKriging`.
    """
    nodes, local = corners
    products, offsets, ends = systems
    models, stations, places = cov_to_place.shape
    k = local.shape[1]
    weights = np.empty((models, places, stations), np.float32)
    variance = np.empty((models, places), np.float32)
    apart, part = np.empty((k, places), np.float32), np.empty((k, places), np.float32)
    # Places last: all runs over them are then over neighbours in memory.
    solved, offset = np.empty((stations, places), np.float32), np.empty((stations, places), np.float32)
    for m in range(models):
        solved[:] = ZERO
        offset[:] = ZERO
        variance_row = variance[m]
        variance_row[:] = ONE
        for c in range(len(nodes)):
            node, fraction = nodes[c], fractions[c]
            for n in range(k):
                row, covariance = apart[n], cov_to_place[m, local[c, n]]
                for p in range(places):
                    row[p] = covariance[p] * fraction[p]
            multiply(products[m, node], apart, part)
            for n in range(k):
                station, flat = local[c, n], offsets[m, node, n]
                weight_row, offset_row, row = solved[station], offset[station], part[n]
                for p in range(places):
                    weight_row[p] += row[p]
                    offset_row[p] += fraction[p] * flat
            for p in range(places):
                variance_row[p] += fraction[p] * ends[m, node]
        for n in range(stations):
            weight_row, offset_row, covariance = solved[n], offset[n], cov_to_place[m, n]
            for p in range(places):
                weight_row[p] += offset_row[p]
                variance_row[p] -= covariance[p] * (weight_row[p] + offset_row[p])
            for p in range(places):
                weights[m, p, n] = weight_row[p]
        for p in range(places):
            variance_row[p] = max(variance_row[p], ZERO) + LEAST_VARIANCE
    return weights, variance


@compiled
def invert_systems(
    position: Array, noise: Array, metrics: Array, shapes: Array, inverses: tuple[Array, Array, Array]
) -> None:
    """Fill products, offsets and ends of the kriging systems of some nodes; see `LatticeKriging`.

    Parameters
    ----------
    position : float32 (node, k, 2)
        East and north of each node's neighbours in km.
    noise : float32 (model, node, k)
        What is added to each neighbour's own variance.
    metrics, shapes
        As of `covariances`.
    inverses : tuple of float32
        (model, node, k, k), (model, node, k), (model, node).
    """
    products, offsets, ends = inverses
    models, nodes, k, _ = products.shape
    plane, system = np.empty((2, k), np.float32), np.empty((k, k), np.float32)
    inverse, flat = np.empty((k, k), np.float32), np.empty(k, np.float32)
    for m in range(models):
        a, b, c = metrics[m, 0], metrics[m, 1], metrics[m, 2]
        short, long, share = shapes[m, 0], shapes[m, 1], shapes[m, 2]
        for node in range(nodes):
            for n in range(k):
                x, y = position[node, n, 0], position[node, n, 1]
                plane[0, n], plane[1, n] = x * a + y * b, x * b + y * c
            for n in range(k):
                row, x, y = system[n], plane[0, n], plane[1, n]
                for j in range(k):
                    east, north = plane[0, j] - x, plane[1, j] - y
                    distance = np.sqrt(east * east + north * north + SAME_PLACE)
                    row[j] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
                row[n] += noise[m, node, n]
            _invert(system, inverse)
            total = ZERO
            for n in range(k):
                flat[n] = inverse[n].sum()
                total += flat[n]
            for n in range(k):
                offsets[m, node, n] = flat[n] / total
                row, lowered, ratio = inverse[n], products[m, node, n], flat[n] / total
                for j in range(k):
                    lowered[j] = row[j] - ratio * flat[j]
            ends[m, node] = ONE / total


@compiled
def _invert(system: Array, inverse: Array) -> None:
    """Fill the inverse of a symmetric positive definite matrix, whose lower half becomes its Cholesky factor.

    LAPACK takes three times as long on forty rows. A matrix that is not positive definite gives NaN.
    """
    k = len(system)
    for i in range(k):
        row = system[i]
        for j in range(i):
            other, rest = system[j], row[j]
            for n in range(j):
                rest -= row[n] * other[n]
            row[j] = rest / other[j]
        rest = row[i]
        for n in range(i):
            rest -= row[n] * row[n]
        row[i] = np.sqrt(rest)
    # All columns of the identity at once: every inner loop runs along a row in memory.
    inverse[:] = ZERO
    for i in range(k):
        into, row = inverse[i], system[i]
        into[i] = ONE
        for j in range(i):
            by, known = row[j], inverse[j]
            for n in range(i + 1):
                into[n] -= by * known[n]
        for n in range(i + 1):
            into[n] /= row[i]
    for i in range(k - 1, -1, -1):
        into = inverse[i]
        for n in range(k):
            into[n] /= system[i, i]
        for j in range(i):
            by, above = system[i, j], inverse[j]
            for n in range(k):
                above[n] -= by * into[n]
