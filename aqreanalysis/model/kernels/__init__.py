"""The innermost loops of the sweep, compiled by numba: they hold no lock of Python's, so threads run side by side.

Arrays of float32 in, arrays filled in place; nothing here knows of networks or distributions. Products are BLAS calls
on blocks that the processor's cache holds, everything between them one pass. NaN comes out where NaN went in.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from aqreanalysis.model.kernels.attention import attention
from aqreanalysis.model.kernels.gap_filling import fill_gaps
from aqreanalysis.model.kernels.head import describe_geometry, estimate_block, mix_kernels
from aqreanalysis.model.kernels.kriging_batched import solve_kriging_batched
from aqreanalysis.model.kernels.kriging_shared import (
    blend_lattice_weights,
    count_neighbours,
    covariances,
    invert_systems,
    project_stations,
)
from aqreanalysis.model.kernels.numba_setup import Array, multiply
from aqreanalysis.model.kernels.reporting import find_reporting, widen_scale
from aqreanalysis.model.kernels.summary import exceed, summarise
from aqreanalysis.model.kernels.surroundings import add_drift, average_hours
from aqreanalysis.model.kernels.wind import average_sites, krige_advected, reading_covariances, solve_factored

__all__ = [
    "Array",
    "add_drift",
    "attention",
    "average_hours",
    "average_sites",
    "blend_lattice_weights",
    "count_neighbours",
    "covariances",
    "describe_geometry",
    "estimate_block",
    "exceed",
    "fill_gaps",
    "find_reporting",
    "invert_systems",
    "krige_advected",
    "mix_kernels",
    "multiply",
    "project_stations",
    "reading_covariances",
    "solve_factored",
    "solve_kriging_batched",
    "summarise",
    "warm_up",
    "widen_scale",
]


@cache
def warm_up() -> None:
    """Compile everything, or load what an earlier process compiled: some 10 s of a processor, or half a second.

    Called when a model is loaded, so that neither a trial's clock nor the first block has it.
    """
    places, stations, hours, k = 2, 3, 2, 2
    position, distance = project_stations(_zeros(places, 3, 3), _zeros(stations, 3))
    count_neighbours(distance, _zeros(4, places), np.zeros((4, k), np.int64), 1.0)
    to_places = covariances(position, _zeros(1, 3), _zeros(1, 3))
    corners = np.zeros(4, np.int64), np.zeros((4, k), np.int64)
    systems = _zeros(1, 1, k, k), _zeros(1, 1, k), _zeros(1, 1)
    attention(_zeros(1, 1, 2), _zeros(1, 2, 4), 1, _zeros(1, 1, 2))
    fill_gaps(_zeros(1, 2), np.zeros((1, 2), bool), (_zeros(2, k), np.zeros((2, k), np.int64)), 1)
    solve_kriging_batched(_zeros(1, k, 2), _zeros(1, 1, k), _zeros(1, 3), _zeros(1, 3), (_zeros(1, 1, k), _zeros(1, 1)))
    invert_systems(_zeros(1, k, 2), _zeros(1, 1, k), _zeros(1, 3), _zeros(1, 3), systems)
    kernels, _ = blend_lattice_weights(to_places, _zeros(4, places), corners, systems)
    fields = _zeros(6, stations, hours)
    which = np.arange(stations)
    mixed = mix_kernels(kernels, _zeros(2, 1), 0, which, fields, np.empty(fields.size, np.float32))
    described = describe_geometry(_zeros(1, places), _zeros(1, 1), (_zeros(places), _zeros(places, 2)), (1.0, 1.0, 1.0))
    multiply(_zeros(1, 5), described[:-1], _zeros(1, places))
    multiply(np.zeros((1, 2)), np.zeros((2, 1)), np.zeros((1, 1)))
    given = _zeros(1, places), _zeros(places), _zeros(places, stations)
    layers = _zeros(1, 6), _zeros(1, 2), _zeros(3, 2)
    nothing = _zeros(0, places, hours), _zeros(0)
    estimate_block(mixed, given, _zeros(1, hours), layers, nothing, tuple(_zeros(3, places, hours)))
    add_drift(_zeros(1, places, 26), _zeros(6, 1), _zeros(2, 24), _zeros(places, 24), _zeros(places, 24))
    average_hours(_zeros(1, places, 4), _zeros(1, 1, 3), _zeros(2, places, hours))
    square = _zeros(3, places), _zeros(3, 1), _zeros(1, places), _zeros(4)
    krige_advected(
        square, _zeros(hours, 4, k), _zeros(hours, 1, k), (_zeros(2, k), _zeros(2)), _zeros(3, places, hours)
    )
    model, noise = (_zeros(1, 1), _zeros(1, 1), _zeros(2)), (_zeros(k, 1, 1), _zeros(k))
    reading_covariances(_zeros(k, 4), model, noise, _zeros(k, k))
    solve_factored(np.eye(k, dtype=np.float32), _zeros(k, 1))
    average_sites(square[0], _zeros(3, k), 1.0, _zeros(1, k, hours), _zeros(1, hours), _zeros(3, places, hours))
    tables = _zeros(places, 1), _zeros(1, 4, 2), _zeros(1)
    values = tuple(_zeros(3, places, hours))
    where = np.arange(2, dtype=np.float32), _zeros(1), _zeros(0), _zeros(places), _zeros(places, 0)
    exceed(values, (_zeros(places, 1), _zeros(1, 4, 2)), where, 0.0, _zeros(hours, places))
    summarise(values, tables, where, 0.0, _zeros(5, hours, places))
    near = np.zeros((places, 1), np.int32), _zeros(places, 1), np.zeros((stations, hours), np.bool_)
    find_reporting(*near, _zeros(places, hours), np.zeros(places, np.bool_))
    widen_scale(_zeros(places, hours), _zeros(places), _zeros(places, hours), _zeros(1), _zeros(1))


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)
