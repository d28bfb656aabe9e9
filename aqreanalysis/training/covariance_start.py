"""The covariance models that a network starts from: those under which the record's readings are most likely."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.hours import even_step
from aqreanalysis.model.network.aqnet import AQNet, BandCovariances
from aqreanalysis.model.network.neural_knn import NeuralKNN
from aqreanalysis.model.network.scaling import field_reach
from aqreanalysis.model.network.temporal_filters import REACH_HOURS
from aqreanalysis.training.covariance_likelihood import most_likely_covariance
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.windows import Timeline

Floats = NDArray[np.float64]

_OFFSETS = np.arange(-REACH_HOURS, REACH_HOURS + 1)
# Pairs of stations times hours: more change no parameter by a per cent.
_ENOUGH_PAIRS = 4_000_000
_FEWEST_HOURS, _MOST_HOURS = 48, 240
# A station's smoothed value needs this share of the weight of the hours round it.
_LEAST_KNOWN = 0.3
#: The weights that `AQNet.start_from` sets.
STANDS_ON = ("knn.log_short", "knn.log_long", "knn.long_share", "knn.log_nugget")


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
        Its drift on covariates is taken off first, and its filters split the readings.
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
    averages = network.filters.averages().cpu().numpy().astype(np.float64)
    return fit_covariances(windows.cpu().numpy(), averages, roles.lat[among], roles.lon[among])


def fit_covariances(windows: NDArray[np.float32], averages: Floats, lat: Floats, lon: Floats) -> BandCovariances:
    """Return the covariance models of the values and of each band of them, the same of all pollutants.

    The likelihoods of several pollutants are taken together: the dictionary is shared by all, and what each mixes from
    it is its own.

    Parameters
    ----------
    windows : float32 (row, 1 + 2 reach, station, target)
        Standardised logarithms of some hours and the `REACH_HOURS` on either side of each, NaN where missing.
    averages : float64 (2, 1 + 2 reach)
        Of the network's filters.
    lat, lon : float64 (station,)
        Degrees.
    """
    usual, km = BandCovariances.usual(), distance_matrix_km(lat, lon, lat, lon)
    names = [part.name for part in fields(BandCovariances)]
    bands = [bands_of(windows[..., target], averages) for target in range(windows.shape[-1])]
    return BandCovariances(
        **{name: most_likely_covariance([band[name] for band in bands], km, getattr(usual, name)) for name in names}
    )


@torch.no_grad()
def covariance_weights(covariances: BandCovariances, kernels: int) -> dict[str, Tensor]:
    """Return the weights of a network, by name, that say its covariance models; `kernels` is how many it has."""
    table = NeuralKNN(kernels)
    table.start_from(covariances.dictionary())
    return {name: getattr(table, name.removeprefix("knn.")).detach().clone() for name in STANDS_ON}


def bands_of(windows: NDArray[np.float32], averages: Floats) -> dict[str, Floats]:
    """Return the parts of `BandCovariances` at the middle hours, each (row, station), NaN where nothing was read then.

    The bands are those of `TemporalFilters`, over the hours that a station read.

    Parameters
    ----------
    windows : float32 (row, 1 + 2 reach, station)
        NaN where missing.
    averages : float64 (2, 1 + 2 reach)
        Of the filters.
    """
    known = np.einsum("fo,ros->frs", averages, np.isfinite(windows).astype(np.float64))
    sums = np.einsum("fo,ros->frs", averages, np.nan_to_num(windows).astype(np.float64))
    brief, lasting = np.where(known >= _LEAST_KNOWN, sums / np.maximum(known, 1e-9), np.nan)
    own = windows[:, REACH_HOURS].astype(np.float64)
    parts = {"lasting": lasting, "whole": own, "hours": brief - lasting, "hour": own - brief}
    return {name: np.where(np.isfinite(own), part, np.nan) for name, part in parts.items()}


def _sampled_hours(hours: int, stations: int) -> NDArray[np.int64]:
    """Return rows spread evenly over all hours of the day, each with a window of hours round it."""
    most = int(np.clip(_ENOUGH_PAIRS // max(stations * (stations - 1) // 2, 1), _FEWEST_HOURS, _MOST_HOURS))
    return np.arange(REACH_HOURS, hours - REACH_HOURS, even_step(hours // most))
