"""Covariates in the network: at the stations (states), at the places (head), and along the wind (neighbours)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.model.network.scaling import FieldScaling, is_concentration
from aqreanalysis.model.network.temporal_filters import REACH_HOURS
from aqreanalysis.model.network.wind import KNOWN_FEATURES, AdvectedReadings, WindAdvection

# What a place's hour knows of each field: its own hours about now, and those that the air remembers, as learned
# averages that start from these widths in hours (the second looks back only).
_NOW_HOURS, _MEMORY_HOURS = 0.5, 5.0
#: Share of what is in the air that can be taken from it at most.
MOST_TAKEN = 0.9
#: Averages along the hours of each field.
AVERAGES = 2
# How far an estimate follows the wind before anything is learned.
_CARRIED = 0.7


@dataclass(frozen=True)
class CovariateDrift:
    """A regression of standardised log readings on covariates, each hour about its own mean.

    What a chemistry model says and what the wind brings of sources add up in the air, so their sum enters in its
    logarithm: ``share * log(1 + sum of amount * concentration) + sum of slope * field``. Slopes and share follow the
    clock: by night a source stands in a shallow layer, and sunlight makes NO2 another gas than by day.

    Attributes
    ----------
    slopes : float32 (field, input)
        Standardised log units per standard deviation of the field.
    amounts : float32 (field, input)
        Of the fields that are concentrations, per unit of the field; zero of all others, below zero of what takes
        from the air.
    share : float32 (input,)
        Standardised log units per unit of the logarithm of the sum.
    clock : float32 (2, field + 1, input)
        What the cosine and the sine of the hour of the day (UTC, a day once round) add to the slopes and, last, to the
        share.
    low, high : float32 (field,)
        Of each field at the stations: beyond, the drift stays what it is there.
    explained : float64 (input,)
        Share of the readings' variance within the hours that it explains at towns that it was not fitted to; zero
        where that did not pay, and the drift is zero.
    """

    slopes: NDArray[np.float32]
    amounts: NDArray[np.float32]
    share: NDArray[np.float32]
    clock: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    explained: NDArray[np.float64]


@dataclass(frozen=True)
class CovariatesAt:
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

    def some(self, places: Tensor) -> CovariatesAt:
        """Return those of places by index."""
        return CovariatesAt(self.values[:, :, places], self.points[places])


@dataclass(frozen=True)
class StationCovariates:
    """What the stations bring along where the model has covariates.

    Attributes
    ----------
    described : Tensor
        Surroundings of each station (hour, station, feature).
    airborne : AdvectedReadings or None
        Their readings, where the wind takes them; None without wind.
    known : Tensor
        One where any station reported at that hour (hour, target).
    """

    described: Tensor
    airborne: AdvectedReadings | None
    known: Tensor

    @classmethod
    def joined(cls, parts: Sequence[StationCovariates]) -> StationCovariates:
        """Return those of hours that follow each other."""
        airborne = [part.airborne for part in parts if part.airborne is not None]
        described, known = (torch.cat([getattr(part, name) for part in parts]) for name in ("described", "known"))
        return cls(described, AdvectedReadings.joined(airborne) if airborne else None, known)


@dataclass(frozen=True)
class CovariateContext:
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
    drift : Tensor
        What the regression on the covariates says of the places (place, hour, target).
    """

    features: Tensor
    carried: Tensor | None
    known: Tensor
    drift: Tensor

    def wind_increment(self, target: int, kriged: Tensor) -> Tensor | None:
        """Return by how much what the wind brings differs from what was kriged (place, hour); zero if unknown."""
        if self.carried is None:
            return None
        return (self.carried[..., target] - kriged) * self.known[:, target]


class CovariateEffects(nn.Module):
    """Everything of AQ-Net that a model without covariates does not have.

    It starts as kriging of what a regression on the covariates leaves, which follows the wind by a fixed share: all
    other last layers are zero.

    Parameters
    ----------
    scaling : FieldScaling
        Fields, their order, and how they are standardised.
    lags : list of int
        Hours along the wind.
    widths : tuple of int
        Of the stations' state, and of the head.
    pollutants : tuple of int and list of int
        How many are read, and which of them are estimated.
    """

    drift_range: Tensor
    drift_amounts: Tensor

    def __init__(
        self,
        scaling: FieldScaling,
        lags: list[int],
        widths: tuple[int, int],
        pollutants: tuple[int, list[int]],
    ) -> None:
        super().__init__()
        inputs, self.targets = pollutants
        targets = len(self.targets)
        count, self.hourly = len(scaling.names), scaling.hourly
        self.wind = scaling.wind
        self.lags = list(lags) if self.wind is not None else []
        described = (AVERAGES + 1) * self.hourly + 2 * (count - self.hourly)
        state, head = widths
        self.embed = _zeroed(nn.Linear(2 * count, state, bias=False))
        offset = torch.arange(-REACH_HOURS, REACH_HOURS + 1, dtype=torch.float32)
        now = -0.5 * (offset / _NOW_HOURS) ** 2
        memory = torch.where(offset <= 0, offset / _MEMORY_HOURS, -offset)
        self.average = nn.Parameter(torch.stack((now, memory)).repeat(self.hourly, 1, 1))
        self.drift = nn.Parameter(torch.zeros(count, inputs))
        self.register_buffer("drift_range", torch.zeros(2, count))
        self.drift_share = nn.Parameter(torch.zeros(inputs))
        self.drift_clock = nn.Parameter(torch.zeros(2, count + 1, inputs))
        self.register_buffer("drift_amounts", torch.zeros(count, inputs))
        # How a concentration is got back from its standardised logarithm; of other fields none is.
        self.logarithms = [
            (i, parts[0] or 0.0, *parts[1:])
            for i, parts in enumerate(zip(scaling.offset, scaling.mean, scaling.std, strict=True))
            if is_concentration(scaling.names[i])
        ]
        self.flow = WindAdvection(self.lags, described) if self.lags else None
        if self.wind is not None:
            scale = [[parts[i] for i in self.wind] for parts in (scaling.mean, scaling.std)]
            self.register_buffer("wind_scale", torch.tensor(scale), persistent=False)
        features = 2 * described + (KNOWN_FEATURES + 1 if self.lags else 0)
        self.head = nn.ModuleList(_zeroed(nn.Linear(features, head, bias=False)) for _ in range(targets))
        self.carry = nn.ModuleList(_wind_following(nn.Linear(head, 1)) for _ in range(targets if self.lags else 0))

    def start_from(self, drift: CovariateDrift) -> None:
        """Take the regression that the network is to start from."""
        with torch.no_grad():
            self.drift.copy_(torch.from_numpy(drift.slopes))
            self.drift_share.copy_(torch.from_numpy(drift.share))
            self.drift_clock.copy_(torch.from_numpy(drift.clock))
            self.drift_amounts.copy_(torch.from_numpy(drift.amounts))
            self.drift_range.copy_(torch.from_numpy(np.stack((drift.low, drift.high))))

    def drift_of(self, fields: Tensor, hours: Tensor) -> Tensor:
        """Return what the regression says (..., hour, place, input), in standardised log units.

        Parameters
        ----------
        fields : Tensor
            Standardised, NaN where missing (..., hour, place, field); a missing one counts with its mean.
        hours : Tensor
            Stamps, hours since 1970-01-01 or of the day (..., hour).
        """
        inside = torch.nan_to_num(fields).clamp(self.drift_range[0], self.drift_range[1])
        slopes, share = self._by_clock(hours)
        # One field after the other: of a matrix product the last digit depends on how many places there are.
        drift = inside[..., :1] * slopes[0]
        for i in range(1, len(slopes)):
            drift = drift + inside[..., i : i + 1] * slopes[i]
        total = torch.zeros_like(drift)
        for i, offset, mean, std in self.logarithms:
            concentration = torch.exp(inside[..., i : i + 1] * std + mean) - offset
            total = total + concentration.clamp(min=0) * self.drift_amounts[i]
        return drift + share * torch.log1p(total.clamp(min=-MOST_TAKEN))

    def _by_clock(self, hours: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the slopes of each field, and the share of the sum, at some hours: each (..., hour, 1, input)."""
        angle = (hours % 24).to(self.drift.dtype)[..., None, None] * (2 * np.pi / 24)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        usual = torch.cat((self.drift, self.drift_share[None]))
        *slopes, share = [u + cosine * c + sine * s for u, c, s in zip(usual, *self.drift_clock, strict=True)]
        return slopes, share

    def drift_table(self, read: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the regression of an input as numbers: of each field bounds, amount, and standard deviation, mean and
        offset of its logarithm (6, field); and by hour of a UTC day, 01:00 first, the slopes and, last, the share of
        the sum's logarithm (field + 1, 24)."""
        slopes, share = self._by_clock(torch.arange(1, 25))
        by_hour = torch.stack([*slopes, share])[..., 0, read].detach().cpu().numpy()
        amounts = self.drift_amounts.cpu().numpy()[:, read]
        logarithms = np.zeros((3, len(slopes)), np.float32)
        for i, offset, mean, std in self.logarithms:
            logarithms[:, i] = std, mean, offset
        table = np.concatenate((self.drift_range.cpu().numpy(), amounts[None], logarithms))
        return np.ascontiguousarray(table, np.float32), np.ascontiguousarray(by_hour, np.float32)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        # Models of before there was a drift have none, and of before it followed the clock the same at any hour.
        for name in ("drift", "drift_range", "drift_share", "drift_amounts", "drift_clock"):
            state_dict.setdefault(prefix + name, torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *more)

    def embed_steps(self, fields: Tensor) -> Tensor:
        """Return what joins the steps of the temporal encoder (window * station, hour, width).

        Parameters
        ----------
        fields : Tensor
            Standardised, NaN where missing (window, hour, station, field).
        """
        features = self.embed(torch.cat((torch.nan_to_num(fields), torch.isfinite(fields).to(fields.dtype)), dim=-1))
        return features.transpose(1, 2).flatten(0, 1)

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

        # Of static fields alone there are none, and a convolution of no series is refused.
        averages = filled.new_zeros(days, 24, places, 0)
        if self.hourly:
            averages = along(filled) / along(known).clamp(min=0.05)
        today = slice(REACH_HOURS, REACH_HOURS + 24)
        return torch.cat((averages, filled[:, today, :, self.hourly :], known[:, today]), dim=-1)

    def at_stations(self, fields: CovariatesAt, filled: Tensor, known: Tensor) -> StationCovariates:
        """Return what the stations bring along.

        Parameters
        ----------
        fields : CovariatesAt
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
            return StationCovariates(described, None, now)
        with torch.autocast(filled.device.type, enabled=False):  # the kriging systems need float32
            scale = self.get_buffer("wind_scale")
            wind = self.flow.smoothed_wind(fields.values[..., list(self.wind)] * scale[1] + scale[0], fields.points)
            shift = self.flow.displacements(wind, self._beyond(described, len(filled)), REACH_HOURS)
            values = filled[:, today].flatten(0, 1), self._lagged(filled)
            airborne = self.flow.krige_readings(fields.points, shift, values, self._lagged(known))
        return StationCovariates(described, airborne, now)

    def _lagged(self, series: Tensor) -> Tensor:
        """Return a series (day, 24 + 2 reach, ..., target) at each hour less each lag (day * 24, ..., lag, target)."""
        shifted = [series[:, REACH_HOURS - lag : REACH_HOURS - lag + 24] for lag in self.lags]
        return torch.stack(shifted, dim=-2).flatten(0, 1)

    def context_at(self, stations: StationCovariates, nearby: Tensor, fields: CovariatesAt) -> CovariateContext:
        """Return what the covariates say of places.

        Parameters
        ----------
        stations : StationCovariates
            What the stations bring along.
        nearby : Tensor
            Non-negative weights (place, station).
        fields : CovariatesAt
            At the places.
        """
        with torch.autocast(fields.values.device.type, enabled=False):
            described = self.describe(fields.values).flatten(0, 1)
            hours, places, width = described.shape
            around = (nearby @ stations.described.transpose(0, 1).flatten(1)).view(places, hours, width)
            own = described.transpose(0, 1)
            today = fields.values[:, REACH_HOURS : REACH_HOURS + 24].flatten(0, 1)
            clock = torch.arange(1, 25, device=today.device).repeat(hours // 24)
            drift = self.drift_of(today, clock)[..., self.targets].transpose(0, 1)
            if self.flow is None or stations.airborne is None:
                return CovariateContext(torch.cat((own, own - around), dim=-1), None, stations.known, drift)
            carried, features = self.flow(stations.airborne, fields.points)
            return CovariateContext(torch.cat((own, own - around, features), dim=-1), carried, stations.known, drift)

    @staticmethod
    def _beyond(described: Tensor, days: int) -> Tensor:
        """Return what describes the days, with their first and last hour held before and after (day, 24 + 2 reach,
        place, feature): how the wind at 10 m stands to what carries is known for the day's own hours alone."""
        daily = described.unflatten(0, (days, 24))
        before, after = (daily[:, [i]].expand(-1, REACH_HOURS, -1, -1) for i in (0, 23))
        return torch.cat((before, daily, after), dim=1)

    def head_input(self, target: int, context: CovariateContext, kriged: Tensor) -> Tensor:
        """Return what joins the head (place, hour, width); `kriged` is what it starts from (place, hour)."""
        increment = context.wind_increment(target, kriged)
        features = (
            context.features if increment is None else torch.cat((context.features, increment[..., None]), dim=-1)
        )
        joined: Tensor = self.head[target](features)
        return joined

    def wind_correction(self, target: int, context: CovariateContext, kriged: Tensor, hidden: Tensor) -> Tensor:
        """Return by how much the wind moves the location (place, hour)."""
        increment = context.wind_increment(target, kriged)
        if increment is None:
            return torch.zeros_like(kriged)
        correction: Tensor = self.carry[target](hidden).squeeze(-1) * increment
        return correction


def _zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _wind_following(layer: nn.Linear) -> nn.Linear:
    nn.init.constant_(_zeroed(layer).bias, _CARRIED)
    return layer
