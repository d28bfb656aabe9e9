"""Kriging weights of the places of a square, from systems that its corners share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.compiled.arithmetic import ONE, ZERO, Array, compiled, exp

# What keeps the distance to a station at the place itself, in square km, and a kriging variance off zero: as in
# `NeuralKNN`.
_SAME_PLACE, _LEAST_VARIANCE = np.float32(1e-6), np.float32(1e-4)


@compiled
def covary(position: Array, metrics: Array, shapes: Array) -> Array:
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
    found = np.empty((models, stations, places), np.float32)
    for m in range(models):
        a, b, c = metrics[m, 0], metrics[m, 1], metrics[m, 2]
        short, long, share = shapes[m, 0], shapes[m, 1], shapes[m, 2]
        for n in range(stations):
            row, x, y = found[m, n], position[0, n], position[1, n]
            for p in range(places):
                east = x[p] * a + y[p] * b
                north = x[p] * b + y[p] * c
                distance = np.sqrt(east * east + north * north + _SAME_PLACE)
                row[p] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
    return found


@compiled
def weigh_patch(
    towards: Array,
    shares: Array,
    corners: tuple[NDArray[np.int64], NDArray[np.int64]],
    systems: tuple[Array, Array, Array],
) -> tuple[Array, Array]:
    """Return weights (model, place, station) and kriging variances (model, place) of the places of one square.

    Parameters
    ----------
    towards : float32 (model, station, place)
        Covariance of the stations with each place.
    shares : float32 (4, place)
        What each corner's solution counts at each place.
    corners : tuple of int64
        Node of each corner (4,), and its neighbours among the stations (4, k).
    systems : tuple of float32
        Of all nodes: products (model, node, k, k), symmetric, offsets (model, node, k), ends (model, node); see
        `SharedSystems`.
    """
    nodes, local = corners
    products, offsets, ends = systems
    models, stations, places = towards.shape
    k = local.shape[1]
    weights = np.empty((models, places, stations), np.float32)
    variance = np.empty((models, places), np.float32)
    apart, part = np.empty((k, places), np.float32), np.empty((k, places), np.float32)
    # Places last: all runs over them are then over neighbours in memory.
    solved, offset = np.empty((stations, places), np.float32), np.empty((stations, places), np.float32)
    for m in range(models):
        solved[:] = ZERO
        offset[:] = ZERO
        left = variance[m]
        left[:] = ONE
        for c in range(len(nodes)):
            node, share = nodes[c], shares[c]
            for n in range(k):
                row, toward = apart[n], towards[m, local[c, n]]
                for p in range(places):
                    row[p] = toward[p] * share[p]
            np.dot(products[m, node], apart, part)
            for n in range(k):
                own, beside, row, flat = solved[local[c, n]], offset[local[c, n]], part[n], offsets[m, node, n]
                for p in range(places):
                    own[p] += row[p]
                    beside[p] += share[p] * flat
            for p in range(places):
                left[p] += share[p] * ends[m, node]
        for n in range(stations):
            own, beside, toward = solved[n], offset[n], towards[m, n]
            for p in range(places):
                own[p] += beside[p]
                left[p] -= toward[p] * (own[p] + beside[p])
            for p in range(places):
                weights[m, p, n] = own[p]
        for p in range(places):
            left[p] = max(left[p], ZERO) + _LEAST_VARIANCE
    return weights, variance
