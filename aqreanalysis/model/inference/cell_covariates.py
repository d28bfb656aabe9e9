"""Covariates of the cells of a dense grid, as the compiled head reads them: `CovariateEffects` patch by patch.

The head is linear in what it is given of a place's surroundings, of how they differ from the neighbours', and of the
wind. So what does not change with the hour is added once a place, the neighbours' surroundings are interpolated with
their other fields, and only averages along the hours and the wind remain for each cell and hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.model.kernels import Array, add_drift, average_hours, multiply
from aqreanalysis.model.network.aqnet import layer_of
from aqreanalysis.model.network.covariate_effects import AVERAGES, CovariateEffects, StationCovariates
from aqreanalysis.model.network.temporal_filters import REACH_HOURS
from aqreanalysis.model.network.wind import KNOWN_FEATURES


@dataclass(frozen=True)
class CellCovariates:
    """Covariates of some cells over a block of hours.

    Attributes
    ----------
    series : float32 (field, place, hour + 2 reach)
        Standardised fields that change by the hour, NaN where missing.
    static : float32 (place, field)
        Standardised fields that do not, NaN where missing.
    carried : float32 (target + 2, place, hour) or None
        From `WindCarrier.bring`; None without wind.
    """

    series: Array
    static: Array
    carried: Array | None

    @cached_property
    def missing(self) -> bool:
        """Whether a field is missing at a place in any hour of the block."""
        return bool(np.isnan(self.series[:, :, REACH_HOURS:-REACH_HOURS]).any())


class SurroundingsHead:
    """What the covariates add to one target's head over a block of hours: the same for all tiles.

    Hours at which a field is missing are rows of their own, minus one there and zero elsewhere. Where none is missing
    the rows are left out, which changes no bit of the sums: zeros would be added.

    Parameters
    ----------
    effects : CovariateEffects
        Of the member, on the CPU.
    stations : StationCovariates
        Of the block.
    target : int
        Which of the network's targets.
    """

    def __init__(self, effects: CovariateEffects, stations: StationCovariates, target: int) -> None:
        hourly = effects.hourly
        described = stations.described.numpy()  # (hour, station, feature)
        width = described.shape[-1]
        fields = width - (AVERAGES + 1) * hourly  # static values and whether they are known
        static = fields // 2
        averages, values = slice(0, AVERAGES * hourly), slice(AVERAGES * hourly, AVERAGES * hourly + static)
        known, there = slice(values.stop, values.stop + hourly), slice(values.stop + hourly, width)
        self._averages = np.ascontiguousarray(torch.softmax(effects.average, dim=-1).detach().numpy())
        weight = layer_of(effects.head, target).weight.detach().numpy()
        own, around = weight[:, :width] + weight[:, width : 2 * width], -weight[:, width : 2 * width]
        gaps = described[..., known] - 1.0
        self._around_missing = bool(gaps.any())
        parts = [described[..., averages]] + [gaps] * self._around_missing
        #: What is interpolated beside the stations' other fields (field, station, hour).
        self.station_fields = np.ascontiguousarray(np.concatenate(parts, axis=-1).transpose(2, 1, 0))
        statics = np.concatenate((described[0, :, values], described[0, :, there] - 1.0), axis=-1)
        self._station_static = np.ascontiguousarray(statics)
        self._static = np.ascontiguousarray(
            np.concatenate((own[:, values], own[:, there], around[:, values], around[:, there]), axis=1)
        )
        #: What is added to the bias of the first layer (width,): as if all fields were known.
        self.bias = weight[:, known].sum(axis=1) + weight[:, there].sum(axis=1)
        self._first = [around[:, averages]] + [around[:, known]] * self._around_missing + [own[:, averages]]
        self._own_known, self._rest = own[:, known], weight[:, 2 * width :]
        self._drift = effects.drift_table(effects.targets[target])
        self.target, self.known = target, np.empty(0, np.float32)
        #: A further row of the last layer, its bias last: what share of the wind's increment is followed.
        self.share = np.empty((0, weight.shape[0] + 1), np.float32)
        if effects.flow is not None:
            self.known = np.ascontiguousarray(stations.known[:, target].numpy())
            layer = layer_of(effects.carry, target)
            self.share = torch.cat((layer.weight, layer.bias[:, None]), dim=1).detach().numpy()

    def first_layer(self, plain: Array, missing: bool) -> Array:
        """Return the first layer (width, feature): of the network without covariates, `plain`, and then of theirs."""
        return np.ascontiguousarray(
            np.concatenate([plain, *self._first] + [self._own_known] * missing + [self._rest], axis=1)
        )

    def static_part(self, static: Array, stations: NDArray[np.int64], nearby: Array) -> Array:
        """Return what the fields that do not change add to the first layer at some places (width, place).

        Parameters
        ----------
        static : float32 (place, field)
            Of the places, as of `CellCovariates`.
        stations : int64 (neighbour,)
            Neighbours of any of them.
        nearby : float32 (place, neighbour)
            Non-negative weights.
        """
        there = np.isfinite(static)
        around = np.empty((len(static), 2 * static.shape[1]), np.float32)
        multiply(nearby, np.ascontiguousarray(self._station_static[stations]), around)
        values = np.concatenate((np.where(there, static, 0.0), there - 1.0, around), axis=1, dtype=np.float32)
        part = np.empty((len(self._static), len(static)), np.float32)
        multiply(self._static, np.ascontiguousarray(values.T), part)
        return part

    def add_drift(self, cells: CellCovariates, places: NDArray[np.int64], location: Array) -> None:
        """Add to the location (place, hour) of some places what the regression on the covariates says."""
        hourly = len(cells.series)
        table, slopes = self._drift
        constant = np.zeros((len(places), slopes.shape[1]), np.float32)
        for values, (low, high), slope in zip(
            cells.static[places].T, table[:2, hourly:].T, slopes[hourly:-1], strict=True
        ):
            constant += np.clip(np.nan_to_num(values), low, high)[:, None] * slope
        series = np.ascontiguousarray(cells.series[:, places])
        of_hours = np.concatenate((slopes[:hourly], slopes[-1:]))
        add_drift(series, np.ascontiguousarray(table[:, :hourly]), of_hours, constant, location)

    def beside(self, cells: CellCovariates, places: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the features of some places (feature, place, hour) and the hours at which the wind is known, as
        `estimate_block` reads them."""
        series = np.ascontiguousarray(cells.series[:, places])
        averaged = (AVERAGES + cells.missing) * len(series)
        wind = KNOWN_FEATURES + 1 if cells.carried is not None else 0
        rows = np.empty((averaged + wind, len(places), series.shape[2] - 2 * REACH_HOURS), np.float32)
        average_hours(series, self._averages, rows[:averaged])
        if cells.carried is not None:
            rows[averaged:-1] = cells.carried[-KNOWN_FEATURES:, places]
            rows[-1] = cells.carried[self.target, places]
        return rows, self.known
