"""Covariates of a record: read at its stations, and put beside its readings with the drift that networks start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import WindowConfig
from aqreanalysis.model import Scaling
from aqreanalysis.model.network.scaling import field_reach
from aqreanalysis.training.covariate_drift import fit_covariate_drift
from aqreanalysis.training.fields import ReadFields, TimelineFields, read_fields
from aqreanalysis.training.seen_hours import SeenHours
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.windows import Timeline

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates


def covariates_at_stations(
    covariates: Covariates,
    seen: SeenHours,
    window: WindowConfig,
    roles: StationRoles,
    progress: Progress | None = None,
) -> ReadFields:
    """Return the covariates at all stations over the hours that are seen and what a network reads round them.

    Parameters
    ----------
    covariates : Covariates
        The fields to use, in their order.
    seen : SeenHours
        The hours.
    window : WindowConfig
        What surrounds a day.
    roles : StationRoles
        The stations; the standardisation is fitted to those of training.
    progress : callable, optional
        Called as ``progress(hours done, hours, note)``.
    """
    before, after = field_reach(window)
    span = seen.first_hour - before, before + 24 * seen.days + after
    return read_fields(covariates, (roles.lat, roles.lon), span, roles.training, progress)


def with_covariates(
    timeline: Timeline, read: ReadFields, scalings: Mapping[str, Scaling], roles: StationRoles
) -> Timeline:
    """Return the timeline with standardised covariates beside its readings, and the regression of these on those.

    Parameters
    ----------
    timeline : Timeline
        Of all stations, in the memory of the processor.
    read : ReadFields
        At the same stations.
    scalings : dict
        Of the inputs, in their order.
    roles : StationRoles
        The stations; the regression is that of those of training.
    """
    scaled = read.scaling.forward(read.values)
    begin = field_reach(timeline.window)[0] - timeline.window.history_hours
    fields, among = scaled[begin : begin + len(timeline.scaled)], roles.training
    readings, places = timeline.scaled.numpy()[:, among], (roles.lat[among], roles.lon[among])
    drift = fit_covariate_drift(readings, fields[:, among], timeline.hours.numpy(), places, scalings, read.scaling)
    return replace(timeline, fields=TimelineFields(torch.from_numpy(scaled), read.scaling, timeline.window, drift))
