"""The covariance models that a network starts from: those of the record's own variogram, as far as it tells.

Twelve stations make sixty-six pairs, and a variogram of theirs is mostly chance. So what a real network of hundreds
showed stands beside it as one more reading of each parameter, and counts the less the more stations there are.
"""

from __future__ import annotations

from dataclasses import fields
from math import gcd

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.geostatistics.variogram import Empirical, empirical_variogram
from aqreanalysis.model.network.aqnet import AQNet, BandCovariances
from aqreanalysis.model.network.neural_knn import CovarianceModel, NeuralKNN
from aqreanalysis.model.network.scaling import field_reach
from aqreanalysis.model.network.temporal_filters import REACH_HOURS, SMOOTH_HOURS
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.windows import Timeline

Floats = NDArray[np.float64]

_OFFSETS = np.arange(-REACH_HOURS, REACH_HOURS + 1)
# Pairs of stations times hours: more change no parameter by a per cent.
_ENOUGH_PAIRS = 4_000_000
_FEWEST_HOURS, _MOST_HOURS = 48, 240
_FEWEST_STATIONS = 2
# A station's smoothed value needs this share of the weight of the hours round it.
_LEAST_KNOWN = 0.3
# Standard deviations of what is known beforehand of the logarithms of the ranges and the nugget, and of the share's
# logit. From nothing but the prior to nothing but the variogram, MAE at hidden stations over the best of four
# interpolations, mean of 13 networks of 12 to 80 stations: 1.015 (0.01), 1.013 (0.6), 1.014 (1), 1.016 (2), 1.018.
_PRIOR = 0.6
# Relative error of a bin of the variogram of one station alone; that of n stations is this over n, as of their
# pairs. Over their root instead, far ranges stay near the prior and the map errs the more: at the cells of nature
# runs with 80 stations the untrained network by 1 to 4 %, which stations hidden in towns do not notice.
_BIN_ERROR = 2.0
# Bins need this many to say anything of four parameters.
_FEWEST_BINS = 5
#: The weights that `AQNet.start_from` sets.
STANDS_ON = ("knn.log_short", "knn.log_long", "knn.long_share", "knn.log_nugget")
# Beyond the prior by more than this the optimiser does not look.
_FARTHEST = 8.0


@torch.no_grad()
def starting_covariances(timeline: Timeline, roles: StationRoles, network: AQNet) -> BandCovariances:
    """Return what the covariance models of a network start from, fitted to the readings at the training stations.

    Parameters
    ----------
    timeline : Timeline
        Of the hours that training may see, on the network's device.
    roles : StationRoles
        The stations.
    network : AQNet
        Its drift on covariates is taken off first.
    """
    among = np.flatnonzero(roles.training)
    rows = _sampled_hours(len(timeline.scaled), len(among))
    # Some windows, and not the whole record: long ones do not fit into memory (see `zeros_mapped`).
    at = torch.from_numpy(rows[:, None] + _OFFSETS)[..., None].to(timeline.scaled.device)
    stations = torch.from_numpy(among).to(timeline.scaled.device)
    covariates = None
    if timeline.fields is not None:
        begin = field_reach(timeline.window)[0] - timeline.window.history_hours
        covariates = timeline.fields.scaled[at + begin, stations]
    hours = timeline.hours[at[..., 0]]
    windows = network.remove_drift(timeline.scaled[at, stations], covariates, hours)[..., network.targets]
    return fit_covariances(windows.cpu().numpy(), roles.lat[among], roles.lon[among])


def fit_covariances(windows: NDArray[np.float32], lat: Floats, lon: Floats) -> BandCovariances:
    """Return the covariance models of the values and of each band of them, the same of all pollutants.

    Each pollutant's variogram is in units of its hours' own variances, and those of several are fitted together: the
    dictionary is shared by all, and what each mixes from it is its own.

    Parameters
    ----------
    windows : float32 (row, 1 + 2 reach, station, target)
        Standardised logarithms of some hours and the `REACH_HOURS` on either side of each, NaN where missing.
    lat, lon : float64 (station,)
        Degrees.
    """
    usual, km = BandCovariances.usual(), distance_matrix_km(lat, lon, lat, lon)
    variograms: dict[str, list[Empirical]] = {field.name: [] for field in fields(BandCovariances)}
    for target in range(windows.shape[-1]):
        for name, values in bands_of(windows[..., target]).items():
            if (np.isfinite(values).sum(axis=1) > _FEWEST_STATIONS).any():
                variograms[name].append(empirical_variogram(values, km))
    return BandCovariances(**{n: _nearest_model(v, getattr(usual, n), len(lat)) for n, v in variograms.items()})


@torch.no_grad()
def covariance_weights(covariances: BandCovariances, kernels: int) -> dict[str, Tensor]:
    """Return the weights of a network, by name, that say its covariance models; `kernels` is how many it has."""
    table = NeuralKNN(kernels)
    table.start_from(covariances.dictionary())
    return {name: getattr(table, name.removeprefix("knn.")).detach().clone() for name in STANDS_ON}


def bands_of(windows: NDArray[np.float32]) -> dict[str, Floats]:
    """Return the parts of `BandCovariances` at the middle hours, each (row, station), NaN where nothing was read then.

    The bands are those that `TemporalFilters` starts from, over the hours that a station read.

    Parameters
    ----------
    windows : float32 (row, 1 + 2 reach, station)
        NaN where missing.
    """
    weights = np.exp(-0.5 * (_OFFSETS / np.array(SMOOTH_HOURS)[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    known = np.einsum("fo,ros->frs", weights, np.isfinite(windows).astype(np.float64))
    sums = np.einsum("fo,ros->frs", weights, np.nan_to_num(windows).astype(np.float64))
    brief, lasting = np.where(known >= _LEAST_KNOWN, sums / np.maximum(known, 1e-9), np.nan)
    own = windows[:, REACH_HOURS].astype(np.float64)
    parts = {"lasting": lasting, "whole": own, "hours": brief - lasting, "hour": own - brief}
    return {name: np.where(np.isfinite(own), part, np.nan) for name, part in parts.items()}


def _sampled_hours(hours: int, stations: int) -> NDArray[np.int64]:
    """Return rows spread evenly over all hours of the day, each with a window of hours round it."""
    most = int(np.clip(_ENOUGH_PAIRS // max(stations * (stations - 1) // 2, 1), _FEWEST_HOURS, _MOST_HOURS))
    step = max(hours // most, 1)
    while gcd(step, 24) > 1:
        step += 1
    return np.arange(REACH_HOURS, hours - REACH_HOURS, step)


def _nearest_model(variograms: list[Empirical], usual: CovarianceModel, stations: int) -> CovarianceModel:
    """Return the model nearest to the variograms and to the usual one, each by its own error."""
    known = [v for v in variograms if len(v.km) >= _FEWEST_BINS]
    if not known:
        return usual
    km, gamma, pairs = (np.concatenate([getattr(v, name) for v in known]) for name in ("km", "gamma", "pairs"))
    # Of one pollutant each bin counts as Cressie (1985) has it, and all bins together as half a dozen readings.
    weight = np.sqrt(pairs) / np.sqrt(pairs).mean() / np.sqrt(len(km)) * stations / _BIN_ERROR
    share = usual.long_share
    before = np.array(
        [np.log(usual.short_km), np.log(usual.long_km), np.log(share / (1 - share)), np.log(usual.nugget)]
    )

    def misfit(p: Floats) -> Floats:
        near, far, share, nugget = _natural(p)
        curve = nugget - (1 - share) * np.expm1(-km / near) - share * np.expm1(-km / far)
        return np.concatenate((weight * (gamma / (np.exp(p[4]) * curve) - 1), (p[:4] - before) / _PRIOR))

    start = np.append(before, np.log(gamma.max()))
    fitted = scipy.optimize.least_squares(misfit, start, bounds=(start - _FARTHEST, start + _FARTHEST), xtol=1e-5)
    return CovarianceModel(*_natural(fitted.x))


def _natural(p: Floats) -> tuple[float, float, float, float]:
    near, far, share, nugget = p[:4].tolist()
    return float(np.exp(near)), float(np.exp(far)), float(1 / (1 + np.exp(-share))), float(np.exp(nugget))
