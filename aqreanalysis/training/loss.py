"""What training minimises: the continuous ranked probability score, in units and in logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.model import AQNet, Scaling, lognormal_crps
from aqreanalysis.model.network.aqnet import Neighbourhood, StationStates
from aqreanalysis.model.network.covariate_effects import CovariatesAt

# Weight of the score in logarithms, which keeps clean hours from counting for nothing beside polluted ones.
_LOG_SHARE = 0.5


@dataclass(frozen=True)
class EncodedBatch:
    """What stations (indices of all) say alone on some days, by which network, and the truth at every station.

    `near` are the covariates round the days at every station, None for a model without.
    """

    network: AQNet
    stations: NDArray[np.int64]
    states: Tensor
    readings: Tensor
    clock: Tensor
    truth: Tensor
    near: CovariatesAt | None = None


def normal_crps(error: Tensor, scale: Tensor) -> Tensor:
    """Return the CRPS of a normal forecast of standard deviation `scale` (Gneiting et al. 2005)."""
    z = error / scale
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return scale * (z * torch.erf(z / math.sqrt(2.0)) + 2 * density - 1 / math.sqrt(math.pi))


def target_scores(
    network: AQNet,
    states: StationStates,
    neighbourhood: Neighbourhood,
    truth: Tensor,
    scalings: list[Scaling],
    drift: Tensor | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the sum over targets of scaled scores at the finite truths: (training loss, CRPS alone).

    Parameters
    ----------
    truth : Tensor
        Shifted readings of the targets in their units, NaN where there is none (hour, place, target).
    scalings : list of Scaling
        Of the targets.
    drift : Tensor, optional
        Of the places, added to the location: standardised log units (place, target).
    weights : Tensor, optional
        How much each place counts (place,); all the same if not given.
    """
    loss = truth.new_zeros(())
    crps = truth.new_zeros(())
    for p, scaling in enumerate(scalings):
        location, scale, _ = network.estimate_at(states, neighbourhood, p)
        if drift is not None:
            location = location + drift[:, p, None]
        y = truth[..., p].T
        seen = torch.isfinite(y)
        # Where there is no truth a harmless one stands and counts nothing: picking the others out would wait for a GPU.
        y = torch.where(seen, y, 1.0)
        location = torch.where(seen, location.float() * scaling.std + scaling.mean, 0.0)
        scale = torch.where(seen, scale.float() * scaling.std, 1.0)
        share = seen.to(y.dtype) if weights is None else seen * weights[:, None]
        share = share / share.sum().clamp(min=1e-12)
        natural, logarithmic = ((share * score).sum() for score in _both_scores(y, location, scale, scaling))
        loss = loss + natural + _LOG_SHARE * logarithmic
        crps = crps + natural.detach()
    return loss, crps


def _both_scores(y: Tensor, location: Tensor, scale: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Return the scaled scores in units and in logarithms; `location` and `scale` are those of ``log y``."""
    natural = lognormal_crps(y, location, scale) / scaling.typical_error
    return natural, normal_crps(torch.log(y) - location, scale) / scaling.std


def station_scores(
    estimate: tuple[Tensor, Tensor], truth: Tensor, scaling: Scaling, drift: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the sum over the hours of what training minimises, and the number of hours with a truth, each (place,).

    Parameters
    ----------
    estimate : tuple of Tensor
        Location and scale of one target in standardised log units (place, hour).
    truth : Tensor
        Shifted readings in its units, NaN where there is none (place, hour).
    scaling : Scaling
        Of the target.
    drift : Tensor, optional
        Added to the location (place,).
    """
    location, scale = estimate
    if drift is not None:
        location = location + drift[:, None]
    seen = torch.isfinite(truth)
    y = torch.where(seen, truth, 1.0)
    natural, logarithmic = _both_scores(y, location * scaling.std + scaling.mean, scale * scaling.std, scaling)
    return torch.where(seen, natural + _LOG_SHARE * logarithmic, 0.0).sum(dim=1), seen.sum(dim=1)
