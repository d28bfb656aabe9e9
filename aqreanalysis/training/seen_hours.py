"""What a training, or a calibration, may see of a record: whole UTC days before the unseen hours, padded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.configs import Config
from aqreanalysis.errors import ObservationsError
from aqreanalysis.model import Scaling
from aqreanalysis.observations import Observations, window
from aqreanalysis.training.windows import Timeline

_FEWEST_DAYS = 3


@dataclass(frozen=True)
class SeenHours:
    """Readings of whole UTC days before the unseen hours, padded by the window.

    Attributes
    ----------
    values : float32 (hour, station, input)
        Concentrations, NaN where missing and in the unseen hours.
    hours : int64 (hour,)
        Stamps, hours since 1970-01-01.
    first_hour : int
        Stamp of the first hour of the first day, which the window's history comes before.
    days : int
        Whole days.
    """

    values: NDArray[np.float32]
    hours: NDArray[np.int64]
    first_hour: int
    days: int

    def timeline(
        self, scaling: Mapping[str, Scaling], config: Config, drift: NDArray[np.float32] | None = None
    ) -> Timeline:
        """Return the timeline of these days; `drift` as of `Timeline.build`."""
        inputs = list(config.inputs or config.species)
        before = config.window.history_hours
        return Timeline.build(
            self.values[before : before + 24 * self.days],
            self.first_hour,
            [scaling[k] for k in inputs],
            [inputs.index(s) for s in config.species],
            config.window,
            drift,
        )


def seen_hours(observations: Observations, config: Config, unseen_from: np.datetime64) -> SeenHours:
    """Return what may be seen of the pollutants that a config reads; one that nobody measures is missing throughout.

    Raises
    ------
    ObservationsError
        If it holds fewer than three whole UTC days.
    """
    first = observations.first_hour
    first += (1 - first) % 24  # the first whole UTC day
    last = min(int(observations.hours[-1]), int(unseen_from.astype("datetime64[h]").astype(np.int64)) - 1)
    days = (last - first + 1) // 24
    if days < _FEWEST_DAYS:
        raise ObservationsError(
            f"the hours that training may see hold {max(days, 0)} whole UTC days, and at least {_FEWEST_DAYS} are "
            "needed: bring more hours or lower split.unseen_time"
        )
    before, after = config.window.history_hours, config.window.lookahead_hours
    inputs = list(config.inputs or config.species)
    values, hours = window(observations, inputs, first - before, before + 24 * days + after)
    values[before + 24 * days :] = np.nan  # the unseen hours stay unseen, also as lookahead
    return SeenHours(values, hours, first, days)
