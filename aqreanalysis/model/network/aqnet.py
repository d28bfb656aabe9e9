"""AQ-Net: temporal encoder, exchange between stations, learnable neural kNN, probabilistic head."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.configs import ModelConfig
from aqreanalysis.model.kernels import fill_gaps
from aqreanalysis.model.network.covariate_effects import (
    CovariateContext,
    CovariateEffects,
    CovariatesAt,
    StationCovariates,
)
from aqreanalysis.model.network.neighbours import Geometry
from aqreanalysis.model.network.neural_knn import CovarianceModel, NeuralKNN
from aqreanalysis.model.network.scaling import FieldScaling
from aqreanalysis.model.network.temporal_encoder import CyclicEncoding, TemporalEncoder
from aqreanalysis.model.network.temporal_filters import (
    BANDS,
    BRIDGED_HOURS,
    REACH_HOURS,
    TRENDS,
    TemporalFilters,
    bridge_gaps,
)

# Rounds in which gaps are filled from the neighbours. A station that is silent for weeks has silent neighbours too:
# three rounds cost 4 % of MAE at hidden cities of the north China network against the converged thirty.
_FILL_ROUNDS = 30
# Distances enter the head as d / (d + c) with these c in km: smooth, so that no ring is drawn round a station, and
# bounded, so that a cell far outside the network looks like one at the network's edge and not like nothing seen before.
NEAR_KM, MIDDLE_KM, FAR_KM = 5.0, 40.0, 150.0
_GEOMETRY_FEATURES = 4


@dataclass(frozen=True)
class BandCovariances:
    """What the covariance models start from: of the values whole, and of each band of `TemporalFilters`.

    Attributes
    ----------
    lasting, whole, hours, hour : CovarianceModel
        Of what lasts a day, of the whole, of what lasts hours, and of what is of the hour.
    """

    lasting: CovarianceModel
    whole: CovarianceModel
    hours: CovarianceModel
    hour: CovarianceModel

    @classmethod
    def usual(cls, short_km: float | None = None, long_km: float | None = None) -> BandCovariances:
        """Return what was fitted to PM2.5 of a real network, of other ranges where they are given."""
        near, far = (short_km or _SHORT_KM) / _SHORT_KM, (long_km or _LONG_KM) / _LONG_KM
        return cls(
            CovarianceModel(150.0 * near, 560.0 * far, 0.85, 0.04),
            CovarianceModel(62.5 * near, 600.0 * far, 0.80, 0.08),
            CovarianceModel(62.5 * near, 360.0 * far, 0.53, 0.11),
            CovarianceModel(25.0 * near, 12000.0 * far, 0.83, 0.26),
        )

    def dictionary(self) -> list[CovarianceModel]:
        """Return the models that the neural kNN starts from: these four, a sharp one and a noisy one."""
        whole = self.whole
        sharp = CovarianceModel(0.4 * whole.short_km, whole.long_km, 0.75 * whole.long_share, 0.4 * whole.nugget)
        noisy = CovarianceModel(1.2 * whole.short_km, 1.33 * whole.long_km, whole.long_share, 6.25 * whole.nugget)
        return [self.lasting, whole, self.hours, self.hour, sharp, noisy]


# The ranges that `ModelConfig` speaks of, near and far, in km.
_SHORT_KM, _LONG_KM = 50.0, 800.0
_WHOLE = 1
# By band, the model of the dictionary that both its mixtures lean to at first, and another that the second looks at.
# With the band's own model alone the untrained network errs 1.5 % less, at 20 to 80 stations, than with the whole's or
# a noisy one beside it in equal parts.
_LEANS = ((0, 1), (2, 4), (3, 5))
_LEAN_OWN, _LEAN_OTHER = 5.0, 3.0
MIXTURES = 2


@dataclass(frozen=True)
class StationStates:
    """What the stations say at each hour: everything that the sweep interpolates.

    Attributes
    ----------
    bands : Tensor
        Corrected, gap-free values of each target in standardised log units, split into parts that sum to the value
        (hour, station, target, band).
    trends : Tensor
        Learned differences along the hours (hour, station, target, trend).
    channels : Tensor
        Learned values (hour, station, channel).
    observed : Tensor
        One where the target was observed (hour, station, target).
    clock : Tensor
        Cyclic encoding (hour, 6).
    fields : StationCovariates or None
        Covariates, where the model has them.
    """

    bands: Tensor
    trends: Tensor
    channels: Tensor
    observed: Tensor
    clock: Tensor
    fields: StationCovariates | None = None

    @property
    def value(self) -> Tensor:
        """The values whole (hour, station, target)."""
        return self.bands.sum(dim=-1)


def join_hours(parts: Sequence[StationStates]) -> StationStates:
    """Return the states of hours that follow each other."""
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    fields = [part.fields for part in parts if part.fields is not None]
    covariates = StationCovariates.joined(fields) if fields else None
    parts_of_network = joined("bands"), joined("trends"), joined("channels"), joined("observed"), joined("clock")
    return StationStates(*parts_of_network, covariates)


@dataclass(frozen=True)
class Neighbourhood:
    """The kNN of each target for one set of places: sparse or dense weights over all stations, and static features."""

    kriging: list[list[Tensor]]  # per target and band: (mixture * place, station)
    nearby: Tensor  # non-negative weights (place, station)
    count: Tensor  # ones at the neighbours (place, station)
    static: list[Tensor]  # per target: (place, band + 4)
    variance: Tensor  # log kriging variance, mean of the dictionary (place,)
    covariates: CovariateContext | None = None  # of the places at some hours; see `AQNet.add_covariates`


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
    fields : FieldScaling, optional
        Covariates. Without them nothing of `CovariateEffects` is built: parameters and numbers are those of a model
        that knows of none.
    """

    def __init__(
        self, inputs: int, targets: list[int], config: ModelConfig, fields: FieldScaling | None = None
    ) -> None:
        super().__init__()
        self.targets, self.config = list(targets), config
        count, width = len(targets), config.state_width
        self.clock = CyclicEncoding()
        self.temporal = TemporalEncoder(inputs, self.clock.width, width, config.attention_heads, config.dropout)
        self.own = nn.Linear(width, count)
        self.filters = TemporalFilters()
        self.knn = NeuralKNN(config.kernels)
        self.start_from(BandCovariances.usual(config.short_range_km, config.long_range_km))
        self.whole = slice(_WHOLE % config.kernels, _WHOLE % config.kernels + 1)
        self.mixture = nn.Parameter(torch.stack([_leaning(config.kernels)] * count))
        # Exchange: what a station says, beside what its neighbours say of it.
        self.exchange = nn.Sequential(nn.Linear(width + 4 * count, width), nn.GELU(), nn.Dropout(config.dropout))
        self.trust = nn.Linear(width, 2 * count)
        nn.init.zeros_(self.trust.weight)
        with torch.no_grad():  # at first a reading is believed and a gap is filled from the neighbours
            self.trust.bias.copy_(torch.tensor([4.0] * count + [-3.0] * count))
        self.channels = nn.Linear(width, config.channels)
        dynamic = 2 * BANDS + 2 + TRENDS + config.channels
        self.head_dynamic = nn.ModuleList(nn.Linear(dynamic, config.head_width) for _ in targets)
        self.head_static = nn.ModuleList(nn.Linear(BANDS + _GEOMETRY_FEATURES, config.head_width) for _ in targets)
        self.head_clock = nn.ModuleList(nn.Linear(self.clock.width, config.head_width) for _ in targets)
        self.head_inner = nn.ModuleList(nn.Linear(config.head_width, config.head_width) for _ in targets)
        last = [nn.Linear(config.head_width, BANDS * MIXTURES + BANDS + 1) for _ in targets]
        for out in last:  # at first the estimate is the sum of the bands, each the mean of its mixtures
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)
        self.head_out = nn.ModuleList(last)
        self.surroundings: CovariateEffects | None = None
        if fields is not None:  # last, so that all else starts from the same random numbers
            widths = (width, config.head_width)
            self.surroundings = CovariateEffects(fields, config.wind_lags_hours, widths, (inputs, self.targets))

    def start_from(self, covariances: BandCovariances) -> None:
        """Take what the covariance models are to start from."""
        self.knn.start_from(covariances.dictionary())

    @torch.no_grad()
    def hold_back(self, target: int, share: float) -> None:
        """Leave only a share of what the head moves a target's location by from where it started.

        With none of it the location is the sum of the kriged bands, and of what covariates and wind bring; the
        covariance models, the filters and the scale stay as they were learned.

        Parameters
        ----------
        target : int
            Which of the targets.
        share : float
            From 0 to 1.
        """
        self.load_state_dict(hold_back(self.state_dict(), target, share))

    def remove_drift(self, values: Tensor, fields: Tensor | None, hours: Tensor) -> Tensor:
        """Return readings (window, hour, station, input) less what the covariates (..., field) say of them; `hours` are
        their stamps (window, hour)."""
        if self.surroundings is None or fields is None:
            return values
        with torch.autocast(values.device.type, enabled=False):
            return values - self.surroundings.drift_of(fields, hours)

    def encode_own_history(
        self, values: Tensor, hours: Tensor, first: int, last: int, fields: Tensor | None = None
    ) -> Tensor:
        """Return states (window, last - first, station, width) from each station's own history alone.

        A station that reports none of the targets in the window is held to report nothing: what it reads of others
        would make a place beside it look known, which no training sees, since all that is scored is hidden whole.

        Parameters
        ----------
        values : Tensor
            Standardised readings, NaN where missing (window, hour, station, input).
        hours : Tensor
            Hours since 1970-01-01 (window, hour).
        first, last : int
            The hours of the window whose states are wanted.
        fields : Tensor, optional
            Standardised covariates at the stations, NaN where missing (window, hour, station, field).
        """
        windows, steps, stations, inputs = values.shape
        speaks = torch.stack([torch.isfinite(values[..., t]).any(dim=1) for t in self.targets]).any(dim=0)
        values = values.masked_fill(~speaks[:, None, :, None], float("nan"))
        flat = values.permute(0, 2, 1, 3).reshape(windows * stations, steps, inputs)
        clock = self.clock(hours).repeat_interleave(stations, dim=0)
        observed = torch.isfinite(flat)
        covariates = None
        if self.surroundings is not None and fields is not None:
            covariates = self.surroundings.embed_steps(fields)
        states = self.temporal(torch.nan_to_num(flat), observed.to(flat.dtype), clock, first, last, covariates)
        return states.view(windows, stations, last - first, -1).transpose(1, 2)

    def exchange_between_stations(
        self,
        states: Tensor,
        readings: Tensor,
        clock: Tensor,
        station_weights: Tensor,
        fields: CovariatesAt | None = None,
    ) -> StationStates:
        """Return corrected, gap-free station values after each station has heard its neighbours.

        Parameters
        ----------
        states : Tensor
            (day * 24, station, width), from `encode_own_history`.
        readings : Tensor
            Standardised readings of the targets, NaN where missing, as of `around_day` (day, 24 + 2 bridged, station,
            target).
        clock : Tensor
            (day * 24, 6).
        station_weights : Tensor
            From `station_weights`.
        fields : CovariatesAt, optional
            Covariates at the stations.
        """
        reach = slice(BRIDGED_HOURS - REACH_HOURS, BRIDGED_HOURS + 24 + REACH_HOURS)
        observed = torch.isfinite(readings[:, reach])
        bridged = bridge_gaps(readings)[:, reach]
        filled = self._fill(torch.isfinite(bridged), torch.nan_to_num(bridged), station_weights)
        known = observed.any(dim=2).to(filled.dtype)
        today = slice(REACH_HOURS, REACH_HOURS + 24)
        observed = observed[:, today].flatten(0, 1)
        readings = filled[:, today].flatten(0, 1)  # where there is a reading, it
        own = self.own(states)
        # At an hour that no station reports, what each is held to have.
        reported = known[:, today].flatten(0, 1)[:, None] > 0
        others = station_weights @ readings.transpose(0, 1).flatten(1)
        nearby = torch.where(reported, others.unflatten(1, (len(readings), -1)).transpose(0, 1), readings)
        seen = observed.to(states.dtype)
        hidden = self.exchange(torch.cat((states, nearby, own - nearby, (readings - nearby) * seen, seen), dim=-1))
        trust, recall = torch.sigmoid(self.trust(hidden)).chunk(2, dim=-1)
        value = torch.where(observed, nearby + trust * (readings - nearby), nearby + recall * (own - nearby))
        bands, trends = self.filters(filled, known, value.unflatten(0, (-1, 24)))
        covariates = None
        if self.surroundings is not None and fields is not None:
            covariates = self.surroundings.at_stations(fields, filled, known)
        return StationStates(bands.flatten(0, 1), trends.flatten(0, 1), self.channels(hidden), seen, clock, covariates)

    @staticmethod
    @torch.no_grad()
    def _fill(observed: Tensor, readings: Tensor, station_weights: Tensor) -> Tensor:
        """Return readings (day, hour, station, target) whose gaps hold what kriging makes of the other stations.

        A gap filled so leaves every later kriging estimate as if the station were left out at that hour.
        """
        days, hours = readings.shape[:2]
        observed, readings = observed.flatten(0, 1), readings.flatten(0, 1)
        count = observed.sum(dim=1, keepdim=True).clamp(min=1)
        value = torch.where(observed, readings, (readings * observed).sum(dim=1, keepdim=True) / count)
        if station_weights.layout == torch.sparse_csr and station_weights.device.type == "cpu":
            return _fill_compiled(observed, value, station_weights).unflatten(0, (days, -1))
        # Stations first, as the products want them, through all rounds.
        readings, observed, value = (x.transpose(0, 1).flatten(1) for x in (readings, observed, value))
        for _ in range(_FILL_ROUNDS):
            value = torch.where(observed, readings, station_weights @ value)
        value = value.unflatten(1, (days * hours, -1)).transpose(0, 1)
        return value.unflatten(0, (days, -1))

    @torch.no_grad()
    def station_weights(self, geometry: Geometry, stations: int, sparse: bool = False) -> Tensor:
        """Return the weights (station, station) with which the others speak of each station."""
        weights, _ = self.knn(geometry.position, geometry.reach_km, self.whole)
        return mix_weights(weights[0], geometry.index, stations, sparse)

    def neighbourhood(self, geometry: Geometry, stations: int, sparse: bool = False) -> Neighbourhood:
        """Return weights and static features of places; everything that depends on geometry alone."""
        k = geometry.index.shape[1]
        distance = geometry.distance_km
        nearest, mean = distance[:, 0], distance.mean(dim=1)
        features = geometry_features(nearest, mean, crowding(distance).sum(dim=1))
        weights, variance = self.knn(geometry.position, geometry.reach_km)
        index = geometry.index.repeat(MIXTURES, 1)
        kriging, static = [], []
        for mixture in torch.softmax(self.mixture, dim=-1):
            mixed = self._mixed(mixture, weights).reshape(BANDS, -1, k)
            kriging.append([mix_weights(band, index, stations, sparse) for band in mixed])
            spread = torch.einsum("bm,mp->pb", mixture.mean(dim=1), variance.log())
            static.append(torch.cat((spread, features), dim=-1))
        positive = F.relu(weights[self.whole][0])
        positive = positive / positive.sum(dim=-1, keepdim=True)
        return Neighbourhood(
            kriging,
            mix_weights(positive, geometry.index, stations, sparse),
            mix_weights(torch.ones_like(distance), geometry.index, stations, sparse),
            static,
            variance.log().mean(dim=0),
        )

    def add_covariates(
        self, states: StationStates, neighbourhood: Neighbourhood, fields: CovariatesAt
    ) -> Neighbourhood:
        """Return the neighbourhood with what covariates say of its places at the hours of `states`.

        Parameters
        ----------
        states : StationStates
            Of a model with covariates.
        neighbourhood : Neighbourhood
            Of the places.
        fields : CovariatesAt
            Covariates at the places.
        """
        if self.surroundings is None or states.fields is None:
            raise ValueError("the network has no covariates")
        context = self.surroundings.context_at(states.fields, neighbourhood.nearby, fields)
        return replace(neighbourhood, covariates=context)

    def band_weights(self, geometry: Geometry, target: int) -> Tensor:
        """Return the weights of a target's neighbours (band, mixture, place, k); each row sums to one."""
        weights, _ = self.knn(geometry.position, geometry.reach_km)
        return self._mixed(torch.softmax(self.mixture[target], dim=-1), weights)

    @staticmethod
    def _mixed(mixture: Tensor, weights: Tensor) -> Tensor:
        """Return mixtures (band, mixture, kernel) of the dictionary's weights (kernel, place, k)."""
        return torch.einsum("bxm,mpk->bxpk", mixture, weights)

    def estimate_at(
        self, states: StationStates, neighbourhood: Neighbourhood, target: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return location and scale in standardised log units, and how many neighbours reported, each (place, hour)."""
        hours, stations, _ = states.channels.shape
        bands = states.bands[:, :, target].permute(2, 1, 0)  # (band, station, hour)
        kriged = torch.stack(
            [(w @ b).view(MIXTURES, -1, hours) for w, b in zip(neighbourhood.kriging[target], bands, strict=True)]
        )
        value = bands.sum(dim=0)
        learned = torch.cat((states.trends[:, :, target], states.channels), dim=-1)
        fields = torch.cat(
            (value, value**2, states.observed[..., target].T, learned.permute(1, 2, 0).reshape(stations, -1)), dim=1
        )
        level, square, seen, *learned = (neighbourhood.nearby @ fields).split(hours, dim=1)
        disagreement = torch.sqrt(F.relu(square - level**2) + 1e-4)
        parts = kriged.mean(dim=1)
        differences = kriged[:, 0] - kriged[:, 1]
        # (place, hour, feature): the cheapest order for the small head that follows.
        features = torch.stack((parts.sum(dim=0), *parts[1:], *differences, disagreement, seen, *learned), dim=-1)
        hidden = (
            self.head_dynamic[target](features)
            + self.head_static[target](neighbourhood.static[target])[:, None]
            + self.head_clock[target](states.clock)[None]
        )
        if self.surroundings is not None and neighbourhood.covariates is not None:
            hidden = hidden + self.surroundings.head_input(target, neighbourhood.covariates, features[..., 0])
        # Smooth activations: a kink at a distance would show as a ring.
        hidden = F.silu(self.head_inner[target](F.silu(hidden)))
        shares, gains, out = self.head_out[target](hidden).split((BANDS * MIXTURES, BANDS - 1, 2), dim=-1)
        shares = torch.softmax(shares.unflatten(-1, (BANDS, MIXTURES)), dim=-1)
        chosen = (shares * kriged.permute(2, 3, 0, 1)).sum(dim=-1)
        # What passes within hours is not carried as far as what lasts: its gain is the network's to lower.
        location = chosen[..., 0] + (2 * torch.sigmoid(gains) * chosen[..., 1:]).sum(dim=-1) + out[..., 0]
        if self.surroundings is not None and neighbourhood.covariates is not None:
            context = neighbourhood.covariates
            location = location + self.surroundings.wind_correction(target, context, features[..., 0], hidden)
            location = location + context.drift[..., target]
        # The scale starts from the kriging standard error of an autumn field and learns the rest.
        scale = torch.exp((0.5 * neighbourhood.variance[:, None] + out[..., 1]).clamp(-5.0, 3.0)) + 0.02
        return location, scale, neighbourhood.count @ states.observed[..., target].T

    def extra_repr(self) -> str:
        return f"targets={self.targets}, neighbours={self.config.neighbours}"


def layer_of(layers: nn.ModuleList, target: int) -> nn.Linear:
    """Return a target's layer of those of all targets."""
    layer = layers[target]
    assert isinstance(layer, nn.Linear)
    return layer


def crowding(distance_km: Tensor) -> Tensor:
    """Return what neighbours count to how crowded they stand: one at the place itself, a half at `MIDDLE_KM`."""
    return 1 / (1 + (distance_km / MIDDLE_KM) ** 2)


def geometry_features(nearest_km: Tensor, mean_km: Tensor, crowd: Tensor) -> Tensor:
    """Return the head's features of where the neighbours stand (place, 4).

    Parameters
    ----------
    nearest_km, mean_km : Tensor
        Distance to the nearest, and mean distance (place,).
    crowd : Tensor
        Sum of their `crowding` (place,).
    """
    bounded = (x / (x + half) for x, half in ((nearest_km, NEAR_KM), (nearest_km, MIDDLE_KM), (mean_km, FAR_KM)))
    return torch.stack((*bounded, torch.log1p(crowd)), dim=-1)


def _fill_compiled(observed: Tensor, value: Tensor, station_weights: Tensor) -> Tensor:
    """Return values (hour, station, target) after all rounds of filling; each row of the weights has as many.

    Only gaps are worked on: a sixth of the time of sparse products over all stations.
    """
    stations = station_weights.shape[0]
    parts = station_weights.values(), station_weights.col_indices()
    weights = tuple(part.view(stations, -1).numpy() for part in parts)
    filled = []
    for target in range(value.shape[-1]):
        series = value[..., target].contiguous().clone()
        fill_gaps(series.numpy(), observed[..., target].contiguous().numpy(), weights, _FILL_ROUNDS)
        filled.append(series)
    return torch.stack(filled, dim=-1)


def _leaning(kernels: int) -> Tensor:
    """Return logits (band, mixture, kernel) that the mixtures of the dictionary start from."""
    logits = torch.zeros(BANDS, MIXTURES, kernels)
    for band, (own, other) in enumerate(_LEANS):
        logits[band, -1, other % kernels] = _LEAN_OTHER
        logits[band, :, own % kernels] = _LEAN_OWN
    return logits


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


def hold_back(weights: dict[str, Tensor], target: int, share: float) -> dict[str, Tensor]:
    """Return the weights of an `AQNet` as `AQNet.hold_back` leaves them; arguments as there."""
    names = [f"head_out.{target}.{name}" for name in ("weight", "bias")]
    less = {name: torch.cat((share * weights[name][:-1], weights[name][-1:])) for name in names}
    return weights | less
