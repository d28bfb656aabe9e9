"""Covariates in the network: at the stations (states), at the places (head), and along the wind (neighbours)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.model.fields import FieldScaling
from aqreanalysis.model.network.temporal_filters import REACH_HOURS
from aqreanalysis.model.network.wind import TOLD, Airborne, Flow

# What a place's hour is told of each field: its own hours about now, and those that the air remembers, as learned
# averages that start from these widths in hours (the second looks back only).
_NOW_HOURS, _MEMORY_HOURS = 0.5, 5.0
_AVERAGES = 2
# How far an estimate follows the wind before anything is learned.
_CARRIED = 0.7


@dataclass(frozen=True)
class FieldsAt:
    """Covariates about some days, and where.

    Attributes
    ----------
    values : Tensor
        Standardised, NaN where missing, from `REACH_HOURS` before each day to as many after it (day, 24 + 2 reach,
        place, field).
    points : Tensor
        Unit vectors (place, 3).
    """

    values: Tensor
    points: Tensor

    def some(self, places: Tensor) -> FieldsAt:
        """Return those of places by index."""
        return FieldsAt(self.values[:, :, places], self.points[places])


@dataclass(frozen=True)
class StationFields:
    """What the stations bring along where the model has covariates.

    Attributes
    ----------
    described : Tensor
        Surroundings of each station (hour, station, feature).
    airborne : Airborne or None
        Their readings, where the wind takes them; None without wind.
    known : Tensor
        One where any station reported at that hour (hour, target).
    """

    described: Tensor
    airborne: Airborne | None
    known: Tensor


@dataclass(frozen=True)
class Beside:
    """What covariates say of places at the hours of a block.

    Attributes
    ----------
    features : Tensor
        The places' own surroundings, how they differ from the neighbours', and how much the wind brings of what was
        read (place, hour, feature).
    carried : Tensor or None
        What the wind brings (place, hour, target); None without wind.
    known : Tensor
        One where any station reported at that hour (hour, target).
    """

    features: Tensor
    carried: Tensor | None
    known: Tensor

    def brought(self, target: int, kriged: Tensor) -> Tensor | None:
        """Return by how much what the wind brings differs from what was kriged (place, hour); zero if unknown."""
        if self.carried is None:
            return None
        return (self.carried[..., target] - kriged) * self.known[:, target]


class Surroundings(nn.Module):
    """Everything of AQ-Net that a model without covariates does not have.

    It starts as the network without covariates that follows the wind by a fixed share: all other last layers are zero.

    Parameters
    ----------
    scaling : FieldScaling
        Fields, their order, and how they are standardised.
    lags : list of int
        Hours along the wind.
    widths : tuple of int
        Of the stations' state, and of the head.
    targets : int
        Pollutants estimated.
    """

    def __init__(
        self,
        scaling: FieldScaling,
        lags: list[int],
        widths: tuple[int, int],
        targets: int,
    ) -> None:
        super().__init__()
        count, self.hourly = len(scaling.names), scaling.hourly
        self.wind = scaling.wind
        self.lags = list(lags) if self.wind is not None else []
        described = (_AVERAGES + 1) * self.hourly + 2 * (count - self.hourly)
        state, head = widths
        self.embed = _nothing(nn.Linear(2 * count, state, bias=False))
        offset = torch.arange(-REACH_HOURS, REACH_HOURS + 1, dtype=torch.float32)
        now = -0.5 * (offset / _NOW_HOURS) ** 2
        memory = torch.where(offset <= 0, offset / _MEMORY_HOURS, -offset)
        self.average = nn.Parameter(torch.stack((now, memory)).repeat(self.hourly, 1, 1))
        self.flow = Flow(self.lags, described) if self.lags else None
        if self.wind is not None:
            scale = [[parts[i] for i in self.wind] for parts in (scaling.mean, scaling.std)]
            self.register_buffer("wind_scale", torch.tensor(scale), persistent=False)
        told = 2 * described + (TOLD + 1 if self.lags else 0)
        self.head = nn.ModuleList(_nothing(nn.Linear(told, head, bias=False)) for _ in range(targets))
        self.carry = nn.ModuleList(_following(nn.Linear(head, 1)) for _ in range(targets if self.lags else 0))

    def embedded(self, fields: Tensor) -> Tensor:
        """Return what joins the steps of the temporal encoder (window * station, hour, width).

        Parameters
        ----------
        fields : Tensor
            Standardised, NaN where missing (window, hour, station, field).
        """
        told = self.embed(torch.cat((torch.nan_to_num(fields), torch.isfinite(fields).to(fields.dtype)), dim=-1))
        return told.transpose(1, 2).flatten(0, 1)

    def describe(self, fields: Tensor) -> Tensor:
        """Return features of the surroundings (day, 24, place, feature).

        Parameters
        ----------
        fields : Tensor
            Standardised, NaN where missing, from `REACH_HOURS` before each day to as many after it
            (day, 24 + 2 reach, place, field).
        """
        days, steps, places, _ = fields.shape
        known = torch.isfinite(fields).to(fields.dtype)
        filled = torch.nan_to_num(fields)
        weights = torch.softmax(self.average, dim=-1).flatten(0, 1)[:, None]

        def along(series: Tensor) -> Tensor:
            rows = series[..., : self.hourly].permute(0, 2, 3, 1).reshape(days * places, self.hourly, steps)
            return F.conv1d(rows, weights, groups=self.hourly).view(days, places, -1, 24).permute(0, 3, 1, 2)

        averages = along(filled) / along(known).clamp(min=0.05)
        today = slice(REACH_HOURS, REACH_HOURS + 24)
        return torch.cat((averages, filled[:, today, :, self.hourly :], known[:, today]), dim=-1)

    def at_stations(self, fields: FieldsAt, filled: Tensor, known: Tensor) -> StationFields:
        """Return what the stations bring along.

        Parameters
        ----------
        fields : FieldsAt
            At the stations.
        filled : Tensor
            Gap-free values (day, 24 + 2 reach, station, target).
        known : Tensor
            One at hours when any station reported (day, 24 + 2 reach, target).
        """
        described = self.describe(fields.values).flatten(0, 1)
        today = slice(REACH_HOURS, REACH_HOURS + 24)
        now = known[:, today].flatten(0, 1)
        if self.flow is None or self.wind is None:
            return StationFields(described, None, now)
        with torch.autocast(filled.device.type, enabled=False):  # the kriging systems need float32
            scale = self.get_buffer("wind_scale")
            wind = self.flow.smoothed(fields.values[..., list(self.wind)] * scale[1] + scale[0], fields.points)
            shift = self.flow.shifts(wind, self._beyond(described, len(filled)), REACH_HOURS)
            values = filled[:, today].flatten(0, 1), self._lagged(filled)
            airborne = self.flow.settle(fields.points, shift, values, self._lagged(known))
        return StationFields(described, airborne, now)

    def _lagged(self, series: Tensor) -> Tensor:
        """Return a series (day, 24 + 2 reach, ..., target) at each hour less each lag (day * 24, ..., lag, target)."""
        shifted = [series[:, REACH_HOURS - lag : REACH_HOURS - lag + 24] for lag in self.lags]
        return torch.stack(shifted, dim=-2).flatten(0, 1)

    def beside(self, stations: StationFields, nearby: Tensor, fields: FieldsAt) -> Beside:
        """Return what the covariates say of places.

        Parameters
        ----------
        stations : StationFields
            What the stations bring along.
        nearby : Tensor
            Non-negative weights (place, station).
        fields : FieldsAt
            At the places.
        """
        with torch.autocast(fields.values.device.type, enabled=False):
            described = self.describe(fields.values).flatten(0, 1)
            hours, places, width = described.shape
            around = (nearby @ stations.described.transpose(0, 1).flatten(1)).view(places, hours, width)
            own = described.transpose(0, 1)
            if self.flow is None or stations.airborne is None:
                return Beside(torch.cat((own, own - around), dim=-1), None, stations.known)
            carried, told = self.flow(stations.airborne, fields.points)
            return Beside(torch.cat((own, own - around, told), dim=-1), carried, stations.known)

    @staticmethod
    def _beyond(described: Tensor, days: int) -> Tensor:
        """Return what describes the days, with their first and last hour held before and after (day, 24 + 2 reach,
        place, feature): how the wind at 10 m stands to what carries is known for the day's own hours alone."""
        daily = described.unflatten(0, (days, 24))
        before, after = (daily[:, [i]].expand(-1, REACH_HOURS, -1, -1) for i in (0, 23))
        return torch.cat((before, daily, after), dim=1)

    def hidden(self, target: int, beside: Beside, kriged: Tensor) -> Tensor:
        """Return what joins the head (place, hour, width); `kriged` is what it starts from (place, hour)."""
        brought = beside.brought(target, kriged)
        told = beside.features if brought is None else torch.cat((beside.features, brought[..., None]), dim=-1)
        found: Tensor = self.head[target](told)
        return found

    def moved(self, target: int, beside: Beside, kriged: Tensor, hidden: Tensor) -> Tensor:
        """Return by how much the wind moves the location (place, hour)."""
        brought = beside.brought(target, kriged)
        if brought is None:
            return torch.zeros_like(kriged)
        moved: Tensor = self.carry[target](hidden).squeeze(-1) * brought
        return moved


def _nothing(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _following(layer: nn.Linear) -> nn.Linear:
    nn.init.constant_(_nothing(layer).bias, _CARRIED)
    return layer
