"""A model that learned without covariates, given those of a network of stations; nothing learns.

What the covariates say is measured in the network's record, as a training measures it before its first step: the
regression of the readings on them, and the covariance models of what it leaves. So the model starts as residual kriging
there, follows the wind, and departs from that as its weights learned to elsewhere, as far as the stations bear it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from torch import Tensor

from aqreanalysis.model import AQNet, Bundle
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.training.covariance_start import starting_covariances
from aqreanalysis.training.covariate_timeline import covariates_at_stations, with_covariates
from aqreanalysis.training.crowding import taken_off
from aqreanalysis.training.fields import ReadFields, TimelineFields, drift_explained, with_fields
from aqreanalysis.training.transfer import LocalNetwork, scaled_to

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates


def transfer_with_covariates(
    bundle: Bundle, local: LocalNetwork, covariates: Covariates, static: StaticSource | None = None
) -> tuple[Bundle, ReadFields]:
    """Return the model with what a network of stations and covariates say, and the covariates at the stations.

    Parameters
    ----------
    bundle : Bundle
        A model without covariates.
    local : LocalNetwork
        The stations.
    covariates : Covariates
        What the model will need ever after.
    static : StaticSource, optional
        Static fields of the external drift.

    Raises
    ------
    CovariatesError
        If a file cannot be read.
    ModelError
        If a field has no value at any station.
    ObservationsError
        If a pollutant has no two different readings.
    """
    bundle = scaled_to(replace(bundle, config=with_fields(bundle.config, covariates)), local, static)
    config, roles = bundle.config, local.roles
    inputs = list(config.inputs or config.species)
    read = covariates_at_stations(covariates, local.seen, config.window, roles)
    off = taken_off((bundle.drift, None), local.split, local.among, inputs)
    timeline = local.seen.timeline(bundle.scaling, config, off)
    timeline = with_covariates(timeline, read, {key: bundle.scaling[key] for key in inputs}, roles)
    assert timeline.fields is not None
    networks = [_with_surroundings(bundle, weights, timeline.fields) for weights in bundle.members]
    covariances = starting_covariances(timeline, roles, networks[0])
    for network in networks:
        network.start_from(covariances)
    members = [{name: value.detach().clone() for name, value in one.state_dict().items()} for one in networks]
    started = {"starting_covariances": asdict(covariances)} | drift_explained(timeline.fields, inputs)
    return replace(bundle, members=members, fields=read.scaling, metrics=bundle.metrics | started), read


def _with_surroundings(bundle: Bundle, weights: Mapping[str, Tensor], fields: TimelineFields) -> AQNet:
    """Return a network with a member's weights, which begins with what the covariates say of the record."""
    inputs = list(bundle.config.inputs or bundle.config.species)
    targets = [inputs.index(key) for key in bundle.config.species]
    network = AQNet(len(inputs), targets, bundle.config.model, fields.scaling)
    assert network.surroundings is not None
    network.surroundings.start_from(fields.drift)
    begun = {name: value for name, value in network.state_dict().items() if name not in weights}
    network.load_state_dict({**weights, **begun})
    return network
