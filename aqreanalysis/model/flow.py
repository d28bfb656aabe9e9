"""The wind in the neighbour weights: what the neighbours had where the air was, when it was there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.model.geometry import Geometry

# How late a neighbour fades on its way to the reach, as in `NeuralKNN`.
_FADE_POWER = 8
#: Kilometres that 1 m s-1 goes in an hour.
KM_PER_HOUR = 3.6
# Below this wind (m s-1) its direction counts for less and less, so that nothing turns in a calm.
_CALM = 1.0
# Places handled together outside training: bounds the memory of a tile.
_PLACES_AT_ONCE = 512


@dataclass(frozen=True)
class FlowBase:
    """What the flow needs of a set of places, and time does not change.

    Attributes
    ----------
    index : Tensor
        Neighbours, int64 (place, k).
    position : Tensor
        East and north of them in km (place, k, 2).
    inverse : Tensor
        Of the neighbours' covariance matrix (place, k, k).
    """

    index: Tensor
    position: Tensor
    inverse: Tensor


class Flow(nn.Module):
    """Kriging along the wind.

    The air that is over a place at an hour was, `lag` hours before, over another: the place moved back along the wind.
    What the neighbours had at that hour is kriged there, so a neighbour upwind counts more, at the lag that the wind
    carries. For a lag below zero it is the air that will have passed the place: a reanalysis knows it too.

    With stations fixed, the matrix of the kriging system depends on the place alone and is inverted once; an hour and
    lag change its right-hand side only, the covariances between the neighbours and the point upwind, ``C(d)`` with
    ``d^2 = |q|^2 + (s^2 - 1) (q . w)^2 + (k |shift|)^2``: `q` from that point to the neighbour, `w` the direction of
    the wind, `s` a learned stretch along it, and `k` how far a trajectory goes astray with its length.

    Parameters
    ----------
    lags : list of int
        Hours.
    start : tuple of float
        Short and long range in km, share of the long part, nugget: what the covariance starts from.
    described : int
        Features that describe the surroundings of a place: the 10 m wind is weaker than what carries, by a factor that
        depends on them.
    """

    def __init__(self, lags: list[int], start: tuple[float, float, float, float], described: int) -> None:
        super().__init__()
        self.lags = list(lags)
        short, long, share, nugget = start
        self.log_range = nn.Parameter(torch.tensor([math.log(short), math.log(long)]))
        self.long_share = nn.Parameter(torch.logit(torch.tensor(share)))
        self.log_nugget = nn.Parameter(torch.tensor(math.log(nugget)))
        self.log_along = nn.Parameter(torch.tensor(-0.1))
        self.astray = nn.Parameter(torch.tensor(-1.6))  # of the log: a fifth of the way
        self.speed = nn.Linear(described, 1)
        nn.init.zeros_(self.speed.weight)
        nn.init.constant_(self.speed.bias, 0.3)

    def _covariance(self, square: Tensor) -> Tensor:
        distance = torch.sqrt(square + 1e-6)
        short, long = (torch.exp(-distance / one) for one in self.log_range.exp())
        share = torch.sigmoid(self.long_share)
        return (1 - share) * short + share * long

    def base(self, geometry: Geometry) -> FlowBase:
        """Return the base of places: their neighbours and the inverse of the kriging matrix."""
        parts = range(0, len(geometry.index), len(geometry.index) if torch.is_grad_enabled() else _PLACES_AT_ONCE)
        step = parts.step
        inverse = [self._inverse(geometry.position[b : b + step], geometry.reach_km[b : b + step]) for b in parts]
        return FlowBase(geometry.index, geometry.position, torch.cat(inverse))

    def _inverse(self, position: Tensor, reach_km: Tensor) -> Tensor:
        apart = (position[:, :, None] - position[:, None]).square().sum(dim=-1)
        share = torch.linalg.vector_norm(position, dim=-1) / reach_km.clamp(min=1e-3)[:, None]
        late = share.clamp(max=0.999) ** _FADE_POWER
        noise = self.log_nugget.exp() + 1e-3 + late / (1 - late)
        return torch.cholesky_inverse(torch.linalg.cholesky(self._covariance(apart) + torch.diag_embed(noise)))

    def shifts(self, wind: Tensor, described: Tensor, reach: int) -> Tensor:
        """Return how far the air went between each hour less the lag and the hour, km (day * 24, place, lag, 2).

        Parameters
        ----------
        wind : Tensor
            m s-1 from `reach` hours before each day to as many after it (day, 24 + 2 reach, place, 2), no NaN.
        described : Tensor
            Of the same hours (day, 24 + 2 reach, place, feature).
        """
        carrying = KM_PER_HOUR * wind * torch.exp(self.speed(described).clamp(-1.5, 1.5))
        path = carrying.cumsum(dim=1) - 0.5 * carrying  # to the middle of each hour
        today = path[:, reach : reach + 24]
        moved = [today - path[:, reach - lag : reach - lag + 24] for lag in self.lags]
        return torch.stack(moved, dim=-2).flatten(0, 1)

    def forward(self, base: FlowBase, values: Tensor, shift: Tensor, wind: Tensor) -> tuple[Tensor, Tensor]:
        """Return kriged values (place, hour, lag, target) and their variances (place, hour, lag).

        Parameters
        ----------
        base : FlowBase
            Of the places.
        values : Tensor
            What the stations had at each hour less the lag, gap-free (hour, station, lag, target).
        shift : Tensor
            From `shifts` (hour, place, lag, 2).
        wind : Tensor
            m s-1 (hour, place, 2).
        """
        if torch.is_grad_enabled() or len(base.index) <= _PLACES_AT_ONCE:
            return self._carried(base, values, shift, wind)
        cuts = [slice(b, b + _PLACES_AT_ONCE) for b in range(0, len(base.index), _PLACES_AT_ONCE)]
        found = [
            self._carried(FlowBase(base.index[c], base.position[c], base.inverse[c]), values, shift[:, c], wind[:, c])
            for c in cuts
        ]
        return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])

    def _carried(self, base: FlowBase, values: Tensor, shift: Tensor, wind: Tensor) -> tuple[Tensor, Tensor]:
        hours, _, _, targets = values.shape
        places, k = base.index.shape
        direction = (wind / torch.sqrt(wind.square().sum(dim=-1, keepdim=True) + _CALM**2)).transpose(0, 1)
        stretch = torch.exp(2 * self.log_along) - 1
        astray = torch.exp(2 * self.astray)
        flat = base.inverse.sum(dim=-1)
        flat = flat / flat.sum(dim=-1, keepdim=True)
        kriged, variances = [], []
        for i in range(len(self.lags)):
            there = values[:, base.index, i].permute(1, 2, 0, 3).reshape(places, k, hours * targets)
            mean = (flat[:, None] @ there).view(places, hours, targets)
            away = shift[:, :, i].transpose(0, 1)  # (place, hour, 2)
            seen = base.position[:, None] + away[:, :, None]
            along = (seen * direction[:, :, None]).sum(dim=-1)
            square = seen.square().sum(dim=-1) + stretch * along.square() + astray * away.square().sum(-1)[..., None]
            towards = self._covariance(F.relu(square))  # (place, hour, k)
            weights = towards @ base.inverse
            residual = there.view(places, k, hours, targets).permute(0, 2, 1, 3) - mean[:, :, None]
            kriged.append(mean + (weights[:, :, None] @ residual).squeeze(2))
            variances.append(F.relu(1 - (weights * towards).sum(dim=-1)) + 1e-4)
        return torch.stack(kriged, dim=2), torch.stack(variances, dim=2)
