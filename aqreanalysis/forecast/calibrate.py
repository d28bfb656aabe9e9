"""The shape of a long forecast's distribution: residuals of the weeks that each member held out, by range of leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.forecast.distribution import lead_ranges, range_key
from aqreanalysis.forecast.trainer import ForecastTrainer
from aqreanalysis.model import Calibration, Scaling
from aqreanalysis.training.calibrate import Residuals, fit_table

_HOURS_OF_WEEK = 168
HeldOutRows = NDArray[np.float64]


def held_out_rows(
    trainer: ForecastTrainer, weights: dict[str, Tensor], scalings: Sequence[Scaling]
) -> list[HeldOutRows]:
    """Return, for each target, level, standardised residual and week of forecasts of weeks held out (3, row, lead)."""
    parts: list[list[HeldOutRows]] = [[] for _ in scalings]
    for held_out in trainer.held_out(weights, torch.arange(trainer.network.leads, device=trainer.device)):
        week = (held_out.hours // _HOURS_OF_WEEK)[:, None, None].expand(held_out.truth[:, :, 0].shape)
        for p, scaling in enumerate(scalings):
            level = held_out.location[:, :, p]
            truth = (torch.log(held_out.truth[:, :, p]) - scaling.mean) / scaling.std
            rows = torch.stack((level, (truth - level) / held_out.scale[:, :, p], week.to(level.dtype)))
            parts[p].append(rows.flatten(1, 2).double().cpu().numpy())
    return [np.concatenate(part, axis=1) for part in parts]


def calibrate_leads(rows: Mapping[str, Sequence[HeldOutRows]], lead_hours: int) -> dict[str, Calibration]:
    """Return a calibration for each pollutant and range of leads, from the rows of all members.

    Weeks take the part that places have in the analysis: residuals of one week err together, and the median moves as
    far as weeks agree on it.

    Parameters
    ----------
    rows : dict
        By pollutant, what `held_out_rows` gave for each member.
    lead_hours : int
        Of the forecast.
    """
    tables = {}
    for species, members in rows.items():
        together = np.concatenate(list(members), axis=1)
        for label, leads in lead_ranges(lead_hours).items():
            level, standard, week = together[..., leads].reshape(3, -1)
            seen = np.isfinite(standard)
            count = int(seen.sum())
            residuals = Residuals(
                distance_km=np.zeros(count),
                level=level[seen],
                standard=standard[seen],
                place=week[seen].astype(np.int64),
                trained=np.zeros(count, dtype=bool),
                weight=np.ones(count),
            )
            tables[range_key(species, label)] = fit_table(residuals)
    return tables
