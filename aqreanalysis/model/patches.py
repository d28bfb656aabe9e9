"""The estimate on a dense grid, patch by patch: the same head as `AQNet.places`, in an order that the cache holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.model.aqnet import FAR_KM, MIDDLE_KM, MIXTURES, NEAR_KM, AQNet, Neighbourhood, StationStates
from aqreanalysis.model.filters import BANDS, TRENDS
from aqreanalysis.model.lattice import Patch

# Values of one feature at once: some fifty features of them, forth and back, then stay in a processor's own cache.
_VALUES_AT_ONCE = 6144
_VALUE, _SQUARE, _OBSERVED, _LEARNED = BANDS, BANDS + 1, BANDS + 2, BANDS + 3


@dataclass(frozen=True)
class _Head:
    """A target's head with what is linear folded together.

    Attributes
    ----------
    first, static, clock, inner, last : Tensor
        `first` reads the kriged bands by mixture, the disagreement and what is learned; `clock` is what the hours add
        (width, hour); `inner` and `last` have the bias as a last column; `last` gives the lean of each band to its
        first mixture, the gains, the correction and the log scale.
    """

    first: Tensor
    static: Tensor
    clock: Tensor
    inner: Tensor
    last: Tensor


def _fold(network: AQNet, target: int, clock: Tensor) -> _Head:
    dynamic, static, timing, inner, out = (
        _layer(layers, target)
        for layers in (
            network.head_dynamic,
            network.head_static,
            network.head_clock,
            network.head_inner,
            network.head_out,
        )
    )
    whole, differences, rest = dynamic.weight.split((BANDS, BANDS, dynamic.weight.shape[1] - 2 * BANDS), dim=1)
    # The first feature is the sum of the bands, the others are bands: each mixture has half of its band.
    halves = 0.5 * torch.cat((whole[:, :1], whole[:, :1] + whole[:, 1:]), dim=1)
    mixtures = torch.stack((halves + differences, halves - differences), dim=2).flatten(1)
    shares, others = out.weight.split((BANDS * MIXTURES, BANDS + 1), dim=0)
    share_bias, other_bias = out.bias.split((BANDS * MIXTURES, BANDS + 1))
    leans = shares.view(BANDS, MIXTURES, -1)
    lean_bias = share_bias.view(BANDS, MIXTURES)
    timed = timing(clock) + dynamic.bias + static.bias
    last = torch.cat((leans[:, 0] - leans[:, 1], others))
    last_bias = torch.cat((lean_bias[:, 0] - lean_bias[:, 1], other_bias))
    return _Head(
        torch.cat((mixtures, rest), dim=1),
        static.weight,
        timed.T.contiguous(),
        torch.cat((inner.weight, inner.bias[:, None]), dim=1),
        torch.cat((last, last_bias[:, None]), dim=1),
    )


def _layer(layers: nn.ModuleList, target: int) -> nn.Linear:
    found = layers[target]
    assert isinstance(found, nn.Linear)
    return found


def _with_ones(rows: int, columns: int) -> Tensor:
    """Return room for `rows`, with a row of ones below: a bias is then a column of weights and costs no pass."""
    room = torch.empty(rows + 1, columns)
    room[-1] = 1.0
    return room


class PatchSweep:
    """One member's estimate of one target over a block of hours.

    Parameters
    ----------
    network : AQNet
        The member, on the CPU.
    states : StationStates
        Of the block.
    target : int
        Which of the network's targets.
    """

    def __init__(self, network: AQNet, states: StationStates, target: int) -> None:
        self.network, self.target = network, target
        self.hours = len(states.channels)
        bands = states.bands[:, :, target]  # (hour, station, band)
        value = bands.sum(dim=-1, keepdim=True)
        observed = states.observed[:, :, target, None]
        parts = (bands, value, value**2, observed, states.trends[:, :, target], states.channels)
        self._fields = torch.cat(parts, dim=-1).permute(1, 2, 0).contiguous()  # (station, field, hour)
        self._head = _fold(network, target, states.clock)
        self._mixture = torch.softmax(network.mixture[target], dim=-1).flatten(0, 1)

    def estimate(self, patch: Patch, nearest_km: Tensor, out: tuple[Tensor, Tensor, Tensor]) -> None:
        """Write location, scale and the number of neighbours that reported into `out`, each (place, hour).

        Parameters
        ----------
        patch : Patch
            The places.
        nearest_km : Tensor
            Distance of every place to the nearest station; the patch's own are read.
        out : tuple of Tensor
            Of every place; the patch's own rows are written.
        """
        fields = self._fields.index_select(0, patch.stations)
        described = _describe(self.network, patch, nearest_km[patch.places], self.target)
        static = self._head.static @ described.T
        weights = torch.einsum("xm,mpn->xpn", self._mixture, patch.kernels)
        nearby = _nearby(self.network, patch)
        log_scale = 0.5 * patch.variance.log().mean(dim=0)
        step = max(1, _VALUES_AT_ONCE // self.hours)
        for begin in range(0, len(patch.places), step):
            some = slice(begin, begin + step)
            given = (weights[:, some], nearby[some], static[:, some], log_scale[some])
            location, scale = self._head_at(fields, *given)
            places = patch.places[some]
            out[0][places], out[1][places] = location, scale
            out[2][places] = patch.count[some] @ fields[:, _OBSERVED]

    def _head_at(
        self, fields: Tensor, weights: Tensor, nearby: Tensor, static: Tensor, log_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return location and scale (place, hour)."""
        head, hours, places = self._head, self.hours, len(nearby)
        read = torch.empty(2 * BANDS + 2 + TRENDS + self.network.config.channels, places, hours)
        for band in range(BANDS):
            two = weights[2 * band : 2 * band + 2].reshape(2 * places, -1)
            torch.mm(two, fields[:, band], out=read[2 * band : 2 * band + 2].view(2 * places, hours))
        level = nearby @ fields[:, _VALUE]
        disagreement = read[2 * BANDS]
        torch.mm(nearby, fields[:, _SQUARE], out=disagreement)
        disagreement.addcmul_(level, level, value=-1).clamp_(min=0).add_(1e-4).sqrt_()
        for number, field in enumerate(range(_OBSERVED, fields.shape[1])):
            torch.mm(nearby, fields[:, field], out=read[2 * BANDS + 1 + number])
        hidden = _with_ones(len(static), places * hours)
        inside = hidden[:-1]
        torch.add(static[:, :, None], head.clock[:, None], out=inside.view(-1, places, hours))
        inside.addmm_(head.first, read.view(len(read), -1))
        F.silu(inside, inplace=True)
        further = _with_ones(len(head.inner), places * hours)
        torch.mm(head.inner, hidden, out=further[:-1])
        F.silu(further[:-1], inplace=True)
        out = (head.last @ further).view(-1, places, hours)
        gates = torch.sigmoid(out[: 2 * BANDS - 1])
        second = read[1 : 2 * BANDS : 2]
        chosen = (read[0 : 2 * BANDS : 2] - second).mul_(gates[:BANDS]).add_(second)
        chosen[1:].mul_(gates[BANDS:]).mul_(2)
        location = chosen.sum(dim=0).add_(out[2 * BANDS - 1])
        scale = out[2 * BANDS].add(log_scale[:, None]).clamp_(-5.0, 3.0).exp_().add_(0.02)
        return location, scale


def estimate_patches(
    network: AQNet, states: StationStates, patches: list[Patch], nearest_km: Tensor, target: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return location, scale and how many neighbours reported (place, hour), as `AQNet.places` does."""
    sweep = PatchSweep(network, states, target)
    location, scale, reporting = torch.empty(3, len(nearest_km), sweep.hours)
    for patch in patches:
        sweep.estimate(patch, nearest_km, (location, scale, reporting))
    return location, scale, reporting


def join_patches(network: AQNet, patches: list[Patch], nearest_km: Tensor, stations: int) -> Neighbourhood:
    """Return the same kNN over all places and stations at once, for `AQNet.places`."""
    order = torch.cat([patch.places for patch in patches])
    back = torch.argsort(order)

    def over_stations(parts: list[Tensor]) -> Tensor:
        """Return matrices (..., place, station) of the patches' (..., place, neighbour)."""
        wide = [
            part.new_zeros(*part.shape[:-1], stations).index_copy_(-1, patch.stations, part)
            for part, patch in zip(parts, patches, strict=True)
        ]
        return torch.cat(wide, dim=-2).index_select(-2, back)

    kernels = over_stations([patch.kernels for patch in patches])
    kriging, static = [], []
    for target, logits in enumerate(network.mixture):
        mixed = torch.einsum("bxm,mpn->bxpn", torch.softmax(logits, dim=-1), kernels).flatten(1, 2)
        kriging.append(list(mixed))
        described = [_describe(network, patch, nearest_km[patch.places], target) for patch in patches]
        static.append(torch.cat(described)[back])
    return Neighbourhood(
        kriging,
        over_stations([_nearby(network, patch) for patch in patches]),
        over_stations([patch.count for patch in patches]),
        static,
        torch.cat([patch.variance.log().mean(dim=0) for patch in patches])[back],
    )


def _nearby(network: AQNet, patch: Patch) -> Tensor:
    """Return non-negative weights (place, neighbour) that sum to one."""
    whole = F.relu(patch.kernels[network.whole][0])
    return whole / whole.sum(dim=-1, keepdim=True)


def _describe(network: AQNet, patch: Patch, nearest: Tensor, target: int) -> Tensor:
    """Return the static features of the head (place, band + 4)."""
    mean, crowd = patch.distances.unbind(dim=-1)
    shares = torch.softmax(network.mixture[target], dim=-1).mean(dim=1).to(patch.variance)
    described = (nearest / (nearest + NEAR_KM), nearest / (nearest + MIDDLE_KM), mean / (mean + FAR_KM))
    spread = (shares @ patch.variance.log()).T
    return torch.cat((spread, torch.stack((*described, torch.log1p(crowd)), dim=-1)), dim=-1)
