"""What is said of places whose nearest stations are silent, and of hours at which no station reports.

The network learns gaps of hours; it is as sure beside a station that has been silent for weeks as beside one that
reports. So its scale is drawn to what it says where the nearest station stands as far away as the nearest that reports,
and where no station reports, estimate and scale go over to the climatology of the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.model.device import to_device
from aqreanalysis.model.distribution.smoothstep import smoothstep_passed, smoothstep_weights_f64
from aqreanalysis.model.kernels import widen_scale
from aqreanalysis.model.network.temporal_filters import BRIDGE_FADES_HOURS

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Silence:
    """Which station is the nearest that reports, at each place and hour of a block.

    Attributes
    ----------
    reporting_km : Tensor
        Distance to the nearest station that reports at the hour; at an hour at which none does, that reports in the
        window; infinite where none does (place, hour).
    since_hours, until_hours : float32 (hour,)
        Hours since the last hour at which any station reports, and until the next: 0 where one does, infinite where
        none is in reach.
    hours : int64 (hour,)
        Stamps, hours since 1970-01-01.
    """

    reporting_km: Tensor
    since_hours: NDArray[np.float32]
    until_hours: NDArray[np.float32]
    hours: NDArray[np.int64]

    @property
    def gap_hours(self) -> NDArray[np.float32]:
        """Hours to the nearest hour at which any station reports, float32 (hour,)."""
        return np.minimum(self.since_hours, self.until_hours)

    @property
    def entry(self) -> Tensor:
        """Where `Calibration` is read (place, hour): distances, and gaps as hours below zero."""
        gaps = to_device(-self.gap_hours, self.reporting_km.device)
        return torch.where(gaps < 0, gaps, self.reporting_km)


@dataclass(frozen=True)
class SilenceCalibration:
    """How scale and location of one pollutant answer to `Silence`.

    Attributes
    ----------
    distance_km : float64 (node,)
        Distances at which the network's scale was read.
    log_scale : float64 (node,)
        Logarithm of it there, times how far a silent station's error follows it; not decreasing.
    gap_hours : float64 (gap,)
        Lengths of gaps of the whole network.
    climate : float64 (gap,)
        Share of the climatology in the estimate there; not decreasing, the last is one.
    quantiles : float64 (gap, probability)
        Of the standardised residual there, as of `Calibration`.
    climatology : float64 (7,)
        Mean of the record in standardised log units less the drift, over `climate_terms`.
    """

    distance_km: Table
    log_scale: Table
    gap_hours: Table
    climate: Table
    quantiles: Table
    climatology: Table

    def answer(self, location: Tensor, scale: Tensor, nearest_km: Tensor, silence: Silence) -> tuple[Tensor, Tensor]:
        """Return location, less the drift, and scale (place, hour) as the network would give them if it knew."""
        return self.to_climatology(location, self.widen(scale, nearest_km, silence), silence)

    def widen(self, scale: Tensor, nearest_km: Tensor, silence: Silence) -> Tensor:
        """Return the scale (place, hour) as it is told where the nearest station is as far as the nearest that reports.

        Times at which no station reports are left as they are; nothing becomes narrower.
        """
        nodes, values = np.log1p(self.distance_km).astype(np.float32), self.log_scale.astype(np.float32)
        gap = to_device(silence.since_hours > 0, scale.device)
        reporting = torch.where(gap, nearest_km[:, None], silence.reporting_km)
        if scale.device.type == "cpu" and scale.dtype == torch.float32:
            wider = scale.contiguous().clone()
            widen_scale(wider.numpy(), nearest_km.contiguous().numpy(), reporting.numpy(), nodes, values)
            return wider
        table = to_device(nodes, scale.device), to_device(values, scale.device)
        return scale * torch.exp(_read(reporting, *table) - _read(nearest_km[:, None], *table))

    def to_climatology(self, location: Tensor, scale: Tensor, silence: Silence) -> tuple[Tensor, Tensor]:
        """Return location and scale in standardised log units (place, hour), less the drift, as gaps leave them."""
        gap = silence.gap_hours
        if not gap.any():
            return location, scale
        share = smoothstep_weights_f64(np.minimum(gap, self.gap_hours[-1]), self.gap_hours) @ self.climate
        share = np.where(gap > 0, share, 0.0)
        usual = climate_terms(silence.hours) @ self.climatology
        moved = usual - usual_where_known(silence.hours, silence.since_hours, silence.until_hours, self.climatology)
        mean = share * usual + (1 - share) * moved
        climate, added = (to_device(part.astype(np.float32), location.device) for part in (share, mean))
        return (1 - climate) * location + added, relaxed_scale(scale, climate)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> SilenceCalibration:
        """Return it from what `to_dict` gave."""
        return cls(*(np.asarray(raw[name], dtype=np.float64) for name in cls.__dataclass_fields__))

    def to_dict(self) -> dict[str, Any]:
        """Return its tables as lists."""
        return {name: getattr(self, name).round(6).tolist() for name in self.__dataclass_fields__}


def relaxed_scale(scale: Tensor, climate: Tensor) -> Tensor:
    """Return the scale (place, hour) of an estimate of which a share `climate` (hour,) is left to the climatology.

    As that of an autoregression that began with an error of `scale`; in the units of the network the record's standard
    deviation is one. What is known of a place tells it from another for some hours, and then the weather counts alone.
    """
    left = 1 - climate
    return torch.sqrt((left * scale) ** 2 + (1 - left**2))


def usual_where_known(
    hours: NDArray[np.int64], since_hours: NDArray[Any], until_hours: NDArray[Any], climatology: Table
) -> Table:
    """Return the climatology (hour,) at those hours that an estimate rests on, as `bridge_gaps` weights them.

    In a gap the network holds what was read before and after it, at other hours of the day. Where nothing is in reach
    it is the climatology of the hour itself.
    """
    share, usual = np.zeros((2, len(hours)))
    for away, sign in ((since_hours, -1), (until_hours, 1)):
        near = np.where(np.isfinite(away), away, 0.0).astype(np.int64)
        own = np.exp(-np.asarray(away, np.float64) / BRIDGE_FADES_HOURS)
        share += own
        usual += own * (climate_terms(hours + sign * near) @ climatology)
    now = climate_terms(hours) @ climatology
    return np.where(share > 0, usual / np.maximum(share, np.finfo(np.float64).tiny), now)


def climate_terms(hours: NDArray[np.int64]) -> Table:
    """Return what a climatology is linear in (hour, 7): one, two waves of the day, one of the year; UTC."""
    angles = [2 * np.pi * hours / period for period in (24.0, 12.0, 24 * 365.25)]
    waves = [wave(angle) for angle in angles for wave in (np.cos, np.sin)]
    return np.stack((np.ones(len(hours)), *waves), axis=-1)


def _read(km: Tensor, nodes: Tensor, values: Tensor) -> Tensor:
    """Return the values of a table at distances, level at its nodes, constant beyond them."""
    x = torch.log1p(km)
    value = values[0].expand_as(x)
    for i in range(len(nodes) - 1):
        step = smoothstep_passed(x, nodes[i : i + 2], 0)[0]
        value = value + step * (values[i + 1] - values[i])
    return value
