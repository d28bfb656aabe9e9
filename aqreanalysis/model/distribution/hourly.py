"""The predictive distribution of a concentration: one object from which everything a cube carries is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.model.device import as_array, to_device
from aqreanalysis.model.distribution.silence import Silence, SilenceCalibration
from aqreanalysis.model.distribution.smoothstep import smoothstep_passed, smoothstep_weights
from aqreanalysis.model.kernels import exceed, summarise
from aqreanalysis.model.network.scaling import Scaling

Array = NDArray[np.float32]

# Probabilities at which the shape of the distribution is tabled: midpoints of a hundred equal parts.
PROBABILITIES = np.round((np.arange(100) + 0.5) / 100, 4)
_NORMAL = torch.special.ndtri(torch.from_numpy(PROBABILITIES)).numpy()
# The moments are those of all hundred parts, each standing at its quantile, but are taken over groups of them: one of
# several parts stands at two values, the mean of its quantiles and a spread on either side (`_moment_nodes`). The sizes
# are what a search left as the best thirteen values: the mean is within 0.03 % of that of all parts and the standard
# error within 0.09 %, for scales of the logarithm up to 0.8 (`tests/test_model_distribution_hourly.py`).
_MOMENT_GROUPS = (7, 36, 36, 13, 5, 1, 1, 1)


def _moment_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values that carry the moments, as weights of the parts (part, value), and each value's share.

    Within a group quantiles are taken to go straight with the normal score: the two values then have its mean and
    variance. Weights of the parts, not of any quantile, so that tables may be blended before or after.
    """
    columns, shares, begin = [], [], 0
    for size in _MOMENT_GROUPS:
        own = np.zeros((2, len(PROBABILITIES)))
        score = _NORMAL[begin : begin + size] - _NORMAL[begin : begin + size].mean()
        own[0, begin : begin + size] = 1 / size
        own[1, begin : begin + size] = score / np.sqrt(max(size * float(score @ score), 1e-30))
        columns += [own[0]] if size == 1 else [own[0] - own[1], own[0] + own[1]]
        shares += [size / len(PROBABILITIES) / min(size, 2)] * min(size, 2)
        begin += size
    return np.stack(columns, axis=1), np.array(shares)


_MOMENT_NODES, _MOMENT_SHARES = _moment_nodes()


@dataclass(frozen=True)
class Calibration:
    """Quantiles of the standardised residual ``(log(x + offset) - location) / scale``, by distance and by level.

    Between its nodes the table goes smoothly from one to the next (`smoothstep_weights`), so an interval has neither a
    step nor an edge on a map.

    Attributes
    ----------
    distance_km : float64 (distance,)
        Nodes: distance to the nearest station that reports; constant beyond the ends.
    level : float64 (level,)
        Nodes: standardised location; constant beyond the ends.
    quantiles : float64 (distance, level, probability)
        At `PROBABILITIES`, increasing.
    silence : SilenceCalibration or None
        What is said where stations are silent; None in models trained before it was measured, which are as sure then
        as ever.
    reach_km : float or None
        Distance up to which the quantiles were measured; None where that is unknown.
    """

    distance_km: NDArray[np.float64]
    level: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    silence: SilenceCalibration | None = None
    reach_km: float | None = None

    @classmethod
    def normal(cls) -> Calibration:
        """Return the table of an uncalibrated log-normal distribution."""
        return cls(np.array([0.0]), np.array([0.0]), _NORMAL[None, None, :].copy())

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Calibration:
        """Return the table from what `to_dict` gave."""
        silence = SilenceCalibration.from_dict(raw["silence"]) if "silence" in raw else None
        distance, level, quantiles = (np.asarray(raw[k], np.float64) for k in ("distance_km", "level", "quantiles"))
        # Models trained before it was written down: a table of several distances was measured up to the last of them.
        reach = raw.get("reach_km", float(distance[-1]) if len(distance) > 1 else None)
        return cls(distance, level, quantiles, silence, reach)

    def to_dict(self) -> dict[str, Any]:
        """Return the nodes and the table as lists."""
        tables = {k: getattr(self, k).round(6).tolist() for k in ("distance_km", "level", "quantiles")}
        reach = {} if self.reach_km is None else {"reach_km": round(self.reach_km, 3)}
        return {**tables, **reach, **({} if self.silence is None else {"silence": self.silence.to_dict()})}

    def entries(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the table with that of gaps below it (distance or gap, level, probability), and the gaps' hours."""
        if self.silence is None:
            return self.quantiles, np.empty(0)
        shape = len(self.silence.gap_hours), *self.quantiles.shape[1:]
        gaps = np.broadcast_to(self.silence.quantiles[:, None], shape)
        return np.concatenate((self.quantiles, gaps)), self.silence.gap_hours


@dataclass(frozen=True)
class Summary:
    """What a cube tells of the distribution, and its mean: float32 (hour, place), in the pollutant's units."""

    best: Array
    mean: Array
    standard_error: Array
    lower: Array
    upper: Array


class Predictive:
    """Distribution of the hourly mean at each hour and place, (hour, place) throughout, in the pollutant's units.

    A log-normal distribution shifted by the scaling's offset, its shape replaced by the calibrated table, and censored
    at zero. Best estimate, standard error, bounds and probabilities are all read from it, so they cannot disagree.

    Parameters
    ----------
    location, scale : Tensor
        In standardised log units (place, hour).
    reporting : Tensor
        How many of the place's neighbours were observed (place, hour).
    nearest_km : Tensor
        Distance to the nearest station (place,).
    scaling, calibration
        Of the pollutant.
    silence : Silence, optional
        Where and when that station does not report, which location and scale have answered to; it always does where
        none is given.
    """

    def __init__(
        self,
        location: Tensor,
        scale: Tensor,
        reporting: Tensor,
        nearest_km: Tensor,
        scaling: Scaling,
        calibration: Calibration,
        silence: Silence | None = None,
    ) -> None:
        self.scaling, self.silence = scaling, silence
        self._standardised = location
        self._location = location * scaling.std + scaling.mean
        self._scale = scale * scaling.std
        entries, gaps = calibration.entries()
        table, distance, level, gap_hours = (
            to_device(part, location.device).to(location)
            for part in (entries, calibration.distance_km, calibration.level, gaps)
        )
        self._table, self._nodes, self._distances, self._gaps = table, level, distance, gap_hours
        self._nearest = nearest_km.to(location)
        self._usual = self._shares(self._nearest)
        self._reporting = reporting

    def _shares(self, entry: Tensor) -> Tensor:
        """Return what each entry of the table counts (..., entry): distances from zero on, gaps below it."""
        beyond = torch.zeros((*entry.shape, len(self._gaps)), dtype=entry.dtype, device=entry.device)
        at_distance = torch.cat((smoothstep_weights(entry, self._distances), beyond), dim=-1)
        if not len(self._gaps):
            return at_distance
        before = torch.zeros((*entry.shape, len(self._distances)), dtype=entry.dtype, device=entry.device)
        in_gap = torch.cat((before, smoothstep_weights(-entry, self._gaps)), dim=-1)
        return torch.where(entry[..., None] < 0, in_gap, at_distance)

    @cached_property
    def _entry(self) -> Tensor | None:
        """Where the table is read (place, hour); None where it is at the nearest station at every hour."""
        if self.silence is None:
            return None
        if not len(self._gaps):
            # A table without gaps: there an hour is what it is where the nearest station reports.
            gap = to_device(self.silence.since_hours > 0, self._nearest.device)
            return torch.where(gap, self._nearest[:, None], self.silence.reporting_km).to(self._nearest)
        return self.silence.entry.to(self._nearest)

    @cached_property
    def _near(self) -> Tensor:
        """What each entry of the table counts (place, hour or one, entry)."""
        return self._usual[:, None] if self._entry is None else self._shares(self._entry)

    @property
    def reporting_km(self) -> Array:
        """Distance to the nearest station that reports, float32 (hour, place): see `Silence`."""
        km = self._nearest[:, None] if self.silence is None else self.silence.reporting_km
        return _numpy(km.expand_as(self._location))

    def reporting_on_device(self) -> Tensor:
        """Return `reporting_km` where the model computes: float32 (place, hour or one)."""
        return self._nearest[:, None].float() if self.silence is None else self.silence.reporting_km

    @cached_property
    def _level(self) -> Tensor:
        """Weights of the table's levels (place, hour, level)."""
        return smoothstep_weights(self._standardised, self._nodes)

    def _tabled(self, p: float) -> Tensor:
        """Return the table at probability `p` (distance, level)."""
        position = float(np.interp(p, PROBABILITIES, np.arange(len(PROBABILITIES))))
        low = int(position)
        high = min(low + 1, len(PROBABILITIES) - 1)
        return self._table[..., low] + (position - low) * (self._table[..., high] - self._table[..., low])

    def _standard(self, p: float) -> Tensor:
        """Return the tabled quantile at probability `p` for each (place, hour)."""
        return ((self._near @ self._tabled(p)) * self._level).sum(dim=-1)

    def _at(self, standard: Tensor) -> Tensor:
        return (torch.exp(self._location + self._scale * standard) - self.scaling.offset).clamp(min=0.0)

    def standardise(self, reading: Array) -> tuple[Array, Array]:
        """Return ``(log(x + offset) - location) / scale`` of readings (hour, place), and the standardised location."""
        x = torch.as_tensor(reading, dtype=self._location.dtype, device=self._location.device).T
        standard = (torch.log(x.clamp(min=0.0) + self.scaling.offset) - self._location) / self._scale
        return _numpy(standard), _numpy(self._standardised)

    @property
    def scale(self) -> Array:
        """The scale in standardised log units, float32 (hour, place)."""
        return _numpy(self._scale / self.scaling.std)

    def quantile(self, p: float) -> Array:
        """Return the `p` quantile, 0.005 <= p <= 0.995, float32 (hour, place), not negative.

        Raises
        ------
        ValueError
            If `p` lies outside the tabled range.
        """
        if not PROBABILITIES[0] <= p <= PROBABILITIES[-1]:
            raise ValueError(f"probability {p} is outside the tabled {PROBABILITIES[0]}..{PROBABILITIES[-1]}")
        return _numpy(self._at(self._standard(p)))

    def interval(self, coverage: float = 0.9) -> tuple[Array, Array]:
        """Return the lower and upper bound of the central interval that covers `coverage`."""
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    @property
    def best(self) -> Array:
        """The median, which lies between the bounds of every interval: float32 (hour, place)."""
        return self.quantile(0.5)

    @property
    def observations_used(self) -> NDArray[np.int16]:
        """How many of the nearest stations reported at the hour: int16 (hour, place)."""
        return self.used_on_device().T.contiguous().cpu().numpy()

    def used_on_device(self) -> Tensor:
        """Return `observations_used` where the model computes: int16 (place, hour)."""
        # Halfway between nodes of a lattice the count is blended to exact halves: those go up, whatever the last digit.
        return torch.floor(self._reporting + 0.501).to(torch.int16)

    @cached_property
    def _moments(self) -> Summary:
        return self.summary()

    @property
    def mean(self) -> Array:
        """The mean, float32 (hour, place)."""
        return self._moments.mean

    @property
    def standard_error(self) -> Array:
        """The standard deviation, float32 (hour, place)."""
        return self._moments.standard_error

    def summary(self, coverage: float = 0.9) -> Summary:
        """Return `best`, `mean`, `standard_error` and `interval` at once."""
        if self._location.device.type == "cpu" and self._location.dtype == torch.float32:
            return self._summary_compiled(coverage)
        best, error, lower, upper, mean = map(_numpy, self.summary_on_device(coverage))
        return Summary(best, mean, error, lower, upper)

    def summary_on_device(self, coverage: float = 0.9) -> Tensor:
        """Return best, standard error, lower and upper bound, mean, where the model computes: (5, place, hour)."""
        table, shares = self._summary_tables(coverage)
        summary = self._location.new_empty((5, *self._location.shape))
        self._summarise((self._standardised, self._location, self._scale), self._usual, (table, shares), summary)
        if self._entry is not None:
            # Few of all values: as places of one hour each.
            place, hour = torch.nonzero(self._entry != self._nearest[:, None], as_tuple=True)
            values = tuple(x[place, hour][:, None] for x in (self._standardised, self._location, self._scale))
            own = summary.new_empty((5, len(place), 1))
            self._summarise(values, self._shares(self._entry[place, hour]), (table, shares), own)
            summary[:, place, hour] = own[..., 0]
        return summary

    def _summary_tables(self, coverage: float) -> tuple[Tensor, Tensor]:
        """Return the table (distance, quantile or value, level), and the share of each value that carries moments."""
        tail = (1 - coverage) / 2
        quantiles = [self._tabled(p) for p in (0.5, tail, 1 - tail)]
        nodes, shares = (
            to_device(part, self._table.device).to(self._table) for part in (_MOMENT_NODES, _MOMENT_SHARES)
        )
        return torch.stack([*quantiles, *torch.unbind(self._table @ nodes, dim=-1)], dim=1), shares

    def _summary_compiled(self, coverage: float) -> Summary:
        """Return the same as `summary` on the CPU: every quantile of a value while it is at hand, turned on the way."""
        table, shares = self._summary_tables(coverage)
        values = self._standardised, self._location, self._scale
        tables = self._usual, table, shares
        summary = np.empty((5, *reversed(self._location.shape)), np.float32)
        arrays = ([as_array(part) for part in some] for some in (values, tables))
        summarise(*(tuple(some) for some in arrays), self._where(), self.scaling.offset, summary)
        return Summary(*summary)

    def _where(self) -> tuple[Array, ...]:
        """Return where the compiled loops read the table: its nodes, the nearest stations, and where others report."""
        at_hour = self._nearest[:, None][:, :0] if self._entry is None else self._entry
        return tuple(as_array(part) for part in (self._nodes, self._distances, self._gaps, self._nearest, at_hour))

    def _summarise(
        self, values: tuple[Tensor, ...], near: Tensor, tables: tuple[Tensor, Tensor], summary: Tensor
    ) -> None:
        """Write best, standard error, lower and upper bound and mean of `values` into `summary` (5, place, hour)."""
        standardised, location, scale = values
        shares, offset = tables[1], self.scaling.offset
        table = torch.einsum("pd,dql->pql", near, tables[0])
        steps = smoothstep_passed(standardised, self._nodes, 1)
        standard = torch.baddbmm(table[..., :1], table.diff(dim=-1), steps)  # (place, probability, hour)
        value = torch.addcmul(location[:, None], scale[:, None], standard).exp_()
        value.sub_(offset).clamp_(min=0.0)
        # About the median: the squares of large concentrations would leave float32 few digits for the variance.
        median = value[:, 0]
        away = value[:, 3:].sub_(median[:, None])
        shift = torch.matmul(shares, away)
        variance = torch.matmul(shares, away.square_()).addcmul_(shift, shift, value=-1)
        summary[0], summary[2], summary[3] = median, value[:, 1], value[:, 2]
        torch.sqrt(variance.clamp_(min=0.0), out=summary[1])
        torch.add(median, shift, out=summary[4])

    def cdf(self, value: Array | float) -> Array:
        """Return the probability that the concentration is at most `value`, float32 (hour, place); NaN stays NaN."""
        x = torch.as_tensor(value, dtype=self._location.dtype, device=self._location.device)
        return _numpy(self._cdf((x.T if x.dim() == 2 else x).expand_as(self._location)))

    def _cdf(self, x: Tensor) -> Tensor:
        """Return the same of `x` (place, hour)."""
        standard = (torch.log(x.clamp(min=0.0) + self.scaling.offset) - self._location) / self._scale
        below = torch.zeros_like(standard)
        last = self._standard(float(PROBABILITIES[0]))
        for i in range(1, len(PROBABILITIES)):
            here = self._standard(float(PROBABILITIES[i]))
            below += ((standard - last) / (here - last).clamp(min=1e-9)).clamp(0.0, 1.0)
            last = here
        share = (PROBABILITIES[0] + 0.01 * below).clamp(0.0, 1.0)
        share = torch.where(x < 0, torch.zeros_like(share), share)
        return torch.where(torch.isnan(x), x, share)

    def exceedance(self, threshold: float) -> Array:
        """Return the probability that the concentration exceeds `threshold` (its units), float32 (hour, place)."""
        if self._location.device.type != "cpu" or self._location.dtype != torch.float32 or threshold < 0:
            return (1.0 - self.cdf(threshold)).astype(np.float32)
        values = (as_array(part) for part in (self._standardised, self._location, self._scale))
        tables = as_array(self._usual), as_array(self._table.transpose(1, 2))
        probability = np.empty(tuple(reversed(self._location.shape)), np.float32)
        limit = math.log(threshold + self.scaling.offset)
        exceed(tuple(values), tables, self._where(), limit, probability)
        return probability

    def exceedance_on_device(self, threshold: float) -> Tensor:
        """Return `exceedance` where the model computes: float32 (place, hour)."""
        return 1.0 - self._cdf(torch.full_like(self._location, threshold))

    def crps(self, observed: Array) -> Array:
        """Return the continuous ranked probability score against `observed` (hour, place), in its units.

        Twice the pinball loss averaged over the hundred tabled quantiles (Gneiting and Ranjan 2011); NaN where there
        is no observation.
        """
        y = torch.as_tensor(observed, dtype=self._location.dtype, device=self._location.device).T
        total = torch.zeros_like(self._location)
        for p in PROBABILITIES:
            error = y - self._at(self._standard(float(p)))
            total += torch.maximum(float(p) * error, (float(p) - 1) * error)
        return _numpy(2 * total / len(PROBABILITIES))


def mix_members(locations: Sequence[Tensor], scales: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return location and scale of the equal mixture of normal distributions, one a member, of any one shape.

    The variance is the mean of the members' own and the variance among their locations, which is its epistemic part.
    """
    if len(locations) == 1:
        return locations[0], scales[0]
    location = torch.stack(list(locations))
    variance = torch.stack(list(scales)).square().mean(dim=0) + location.var(dim=0, unbiased=False)
    return location.mean(dim=0), torch.sqrt(variance)


def _numpy(place_hour: Tensor) -> Array:
    # Turned where it was computed: a GPU does it in passing.
    turned: Array = place_hour.T.to(torch.float32).contiguous().cpu().numpy()
    return turned
