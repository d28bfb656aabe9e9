"""AQ-Net: temporal encoder, exchange between stations, learnable neural kNN, probabilistic head."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.configs import ModelConfig
from aqreanalysis.model.cyclic import CyclicEncoding
from aqreanalysis.model.geometry import Geometry
from aqreanalysis.model.knn import NeuralKNN
from aqreanalysis.model.temporal import TemporalEncoder

# Rounds in which gaps are filled from the neighbours. A station that is silent for weeks has silent neighbours too:
# three rounds cost 4 % of MAE at hidden cities of the north China network against the converged thirty.
_FILL_ROUNDS = 30
# Distances enter the head as d / (d + c) with these c in km: smooth, so that no ring is drawn round a station, and
# bounded, so that a cell far outside the network looks like one at the network's edge and not like nothing seen before.
_NEAR_KM, _MIDDLE_KM, _FAR_KM = 5.0, 40.0, 150.0
_GEOMETRY_FEATURES = 4


@dataclass(frozen=True)
class StationStates:
    """What the stations say at each hour: everything that the sweep interpolates.

    Attributes
    ----------
    value : Tensor
        Corrected, gap-free values of each target in standardised log units (hour, station, target).
    channels : Tensor
        Learned values (hour, station, channel).
    observed : Tensor
        One where the target was observed (hour, station, target).
    clock : Tensor
        Cyclic encoding (hour, 6).
    """

    value: Tensor
    channels: Tensor
    observed: Tensor
    clock: Tensor


@dataclass(frozen=True)
class Neighbourhood:
    """The kNN of each target for one set of places: sparse or dense weights over all stations, and static features."""

    kriging: list[Tensor]  # per target: (kernel * place, station)
    nearby: list[Tensor]  # per target: non-negative weights (place, station)
    count: Tensor  # ones at the neighbours (place, station)
    static: list[Tensor]  # per target: (place, kernel + 4)


def mix_weights(weights: Tensor, index: Tensor, stations: int, sparse: bool) -> Tensor:
    """Return weights over the k neighbours (place, k) as a matrix (place, station): sparse CSR or dense."""
    places, k = index.shape
    if not sparse:
        return torch.zeros(places, stations, device=weights.device, dtype=weights.dtype).scatter_add(1, index, weights)
    order = index.argsort(dim=1)
    start = torch.arange(0, places * k + 1, k, device=index.device)
    columns, values = index.gather(1, order).reshape(-1), weights.gather(1, order).reshape(-1)
    return _csr(start, columns, values, (places, stations))


def _csr(start: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(start, columns, values, size=size, check_invariants=False)


# Torch says once a process that sparse CSR tensors are beta. It says it here, to nobody, and not on a user's terminal;
# a filter around each product would not do, since filters are shared by all threads of a sweep.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _csr(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))


class AQNet(nn.Module):
    """The network. It knows tensors only: values in standardised log units, positions in km, hours since 1970.

    Parameters
    ----------
    inputs : int
        Pollutants read.
    targets : list of int
        Which of the inputs are estimated.
    config : ModelConfig
        Sizes.
    """

    def __init__(self, inputs: int, targets: list[int], config: ModelConfig) -> None:
        super().__init__()
        self.targets, self.config = list(targets), config
        count, width, kernels = len(targets), config.state_width, config.kernels
        self.clock = CyclicEncoding()
        self.temporal = TemporalEncoder(inputs, self.clock.width, width, config.attention_heads, config.dropout)
        self.own = nn.Linear(width, count)
        self.knn = nn.ModuleList(NeuralKNN(kernels, config.short_range_km, config.long_range_km) for _ in targets)
        # Exchange: what a station says, beside what its neighbours say of it.
        self.exchange = nn.Sequential(nn.Linear(width + 4 * count, width), nn.GELU(), nn.Dropout(config.dropout))
        self.trust = nn.Linear(width, 2 * count)
        nn.init.zeros_(self.trust.weight)
        with torch.no_grad():  # at first a reading is believed and a gap is filled from the neighbours
            self.trust.bias.copy_(torch.tensor([4.0] * count + [-3.0] * count))
        self.channels = nn.Linear(width, config.channels)
        dynamic = kernels + 3 + config.channels
        self.head_dynamic = nn.ModuleList(nn.Linear(dynamic, config.head_width) for _ in targets)
        self.head_static = nn.ModuleList(nn.Linear(kernels + _GEOMETRY_FEATURES, config.head_width) for _ in targets)
        self.head_clock = nn.ModuleList(nn.Linear(self.clock.width, config.head_width) for _ in targets)
        self.head_inner = nn.ModuleList(nn.Linear(config.head_width, config.head_width) for _ in targets)
        last = [nn.Linear(config.head_width, kernels + 2) for _ in targets]
        for out in last:  # at first the estimate is the mean of the kriging models
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)
        self.head_out = nn.ModuleList(last)

    def own_states(self, values: Tensor, hours: Tensor, first: int, last: int) -> Tensor:
        """Return states (window, last - first, station, width) from each station's own history alone.

        Parameters
        ----------
        values : Tensor
            Standardised readings, NaN where missing (window, hour, station, input).
        hours : Tensor
            Hours since 1970-01-01 (window, hour).
        first, last : int
            The hours of the window whose states are wanted.
        """
        windows, steps, stations, inputs = values.shape
        flat = values.permute(0, 2, 1, 3).reshape(windows * stations, steps, inputs)
        clock = self.clock(hours).repeat_interleave(stations, dim=0)
        observed = torch.isfinite(flat)
        states = self.temporal(torch.nan_to_num(flat), observed.to(flat.dtype), clock, first, last)
        return states.view(windows, stations, last - first, -1).transpose(1, 2)

    def exchange_stations(self, states: Tensor, readings: Tensor, clock: Tensor, among: Neighbourhood) -> StationStates:
        """Return corrected, gap-free station values after each station has heard its neighbours.

        Parameters
        ----------
        states : Tensor
            (hour, station, width), from `own_states`.
        readings : Tensor
            Standardised readings of the targets, NaN where missing (hour, station, target).
        clock : Tensor
            (hour, 6).
        among : Neighbourhood
            The stations as places, none its own neighbour.
        """
        observed = torch.isfinite(readings)
        readings = torch.nan_to_num(readings)
        own = self.own(states)
        weights = [self._mean_kernel(m) for m in among.kriging]
        value = self._fill(observed, readings, weights)
        around = torch.stack([(w @ value[..., p].T).T for p, w in enumerate(weights)], dim=-1)
        seen = observed.to(states.dtype)
        hidden = self.exchange(torch.cat((states, around, own - around, (readings - around) * seen, seen), dim=-1))
        trust, recall = torch.sigmoid(self.trust(hidden)).chunk(2, dim=-1)
        value = torch.where(observed, around + trust * (readings - around), around + recall * (own - around))
        return StationStates(value, self.channels(hidden), seen, clock)

    @torch.no_grad()
    def _fill(self, observed: Tensor, readings: Tensor, weights: list[Tensor]) -> Tensor:
        """Return readings (hour, station, target) whose gaps hold what kriging makes of the other stations.

        A gap filled so leaves every later kriging estimate as if the station were left out at that hour.
        """
        count = observed.sum(dim=1, keepdim=True).clamp(min=1)
        value = torch.where(observed, readings, (readings * observed).sum(dim=1, keepdim=True) / count)
        for _ in range(_FILL_ROUNDS):
            around = torch.stack([(w @ value[..., p].T).T for p, w in enumerate(weights)], dim=-1)
            value = torch.where(observed, readings, around)
        return value

    def _mean_kernel(self, stacked: Tensor) -> Tensor:
        kernels = self.config.kernels
        if stacked.layout is torch.strided:
            return stacked.view(kernels, -1, stacked.shape[-1]).mean(dim=0)
        places = stacked.shape[0] // kernels
        index, start = stacked.col_indices().view(kernels, -1), stacked.crow_indices()[: places + 1]
        values = stacked.values().view(kernels, -1).mean(dim=0)
        return _csr(start, index[0], values, (places, stacked.shape[1]))

    def neighbourhood(self, geometry: Geometry, stations: int, sparse: bool = False) -> Neighbourhood:
        """Return weights and static features of places; everything that depends on geometry alone."""
        kriging, nearby, static = [], [], []
        k = geometry.index.shape[1]
        distance = geometry.distance_km
        nearest, mean = distance[:, 0], distance.mean(dim=1)
        crowd = torch.log1p((1 / (1 + (distance / _MIDDLE_KM) ** 2)).sum(dim=1))
        described = (nearest / (nearest + _NEAR_KM), nearest / (nearest + _MIDDLE_KM), mean / (mean + _FAR_KM), crowd)
        shape = torch.stack(described, dim=-1)
        for knn in self.knn:
            weights, variance = knn(geometry.position, geometry.reach_km)
            index = geometry.index.repeat(self.config.kernels, 1)
            kriging.append(mix_weights(weights.reshape(-1, k), index, stations, sparse))
            positive = F.relu(weights[0])
            positive = positive / positive.sum(dim=-1, keepdim=True)
            nearby.append(mix_weights(positive, geometry.index, stations, sparse))
            static.append(torch.cat((variance.log().T, shape), dim=-1))
        ones = torch.ones_like(distance)
        return Neighbourhood(kriging, nearby, mix_weights(ones, geometry.index, stations, sparse), static)

    def places(self, states: StationStates, around: Neighbourhood, target: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return location and scale in standardised log units, and how many neighbours reported, each (place, hour)."""
        kernels = self.config.kernels
        hours, stations, _ = states.channels.shape
        value = states.value[..., target].T
        kriged = (around.kriging[target] @ value).view(kernels, -1, hours)
        fields = torch.cat(
            (value, value**2, states.observed[..., target].T, states.channels.permute(1, 2, 0).reshape(stations, -1)),
            dim=1,
        )
        level, square, seen, *learned = (around.nearby[target] @ fields).split(hours, dim=1)
        disagreement = torch.sqrt(F.relu(square - level**2) + 1e-4)
        base = kriged.mean(dim=0)
        # (place, hour, feature): the cheapest order for the small head that follows.
        features = torch.stack((base, disagreement, seen, *(kriged - base), *learned), dim=-1)
        hidden = (
            self.head_dynamic[target](features)
            + self.head_static[target](around.static[target])[:, None]
            + self.head_clock[target](states.clock)[None]
        )
        # Smooth activations: a kink at a distance would show as a ring.
        hidden = F.silu(self.head_inner[target](F.silu(hidden)))
        out = self.head_out[target](hidden)
        share = torch.softmax(out[..., :kernels], dim=-1)
        location = (share * kriged.permute(1, 2, 0)).sum(dim=-1) + out[..., kernels]
        # The scale starts from the kriging standard error of an autumn field and learns the rest.
        start = 0.5 * around.static[target][:, :kernels].mean(dim=-1, keepdim=True)
        scale = torch.exp((start + out[..., kernels + 1]).clamp(-5.0, 3.0)) + 0.02
        return location, scale, around.count @ states.observed[..., target].T

    def extra_repr(self) -> str:
        return f"targets={self.targets}, neighbours={self.config.neighbours}"


def lognormal_crps(y: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Return the continuous ranked probability score of a log-normal forecast (Baran and Lerch 2015), in units of `y`.

    `location` and `scale` are those of ``log y``; `y` is positive.
    """
    z = (torch.log(y) - location) / scale
    mean = torch.exp(location + scale**2 / 2)
    inner = _phi(z - scale) + _phi(scale / math.sqrt(2.0)) - 1
    return y * (2 * _phi(z) - 1) - 2 * mean * inner


def _phi(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z / math.sqrt(2.0)))
