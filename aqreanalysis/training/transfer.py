"""A trained model transferred to another network of stations: its scaling, its ranges, its drift; the weights stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.model import AQNet, Bundle, Scaling
from aqreanalysis.model.distribution.crowding import Crowding
from aqreanalysis.model.distribution.external_drift import Drift, StaticSource
from aqreanalysis.model.network.aqnet import BandCovariances
from aqreanalysis.model.network.fewer_pollutants import keep_pollutants
from aqreanalysis.species import get_species
from aqreanalysis.splits import Split
from aqreanalysis.training.covariance_start import covariance_weights, starting_covariances
from aqreanalysis.training.crowding import fit_crowding, standardised, taken_off
from aqreanalysis.training.drift import fit_drift, hour_stride
from aqreanalysis.training.run_folder import fit_present_scalings, subsample_stride
from aqreanalysis.training.seen_hours import SeenHours
from aqreanalysis.training.station_masking import StationRoles


@dataclass(frozen=True)
class LocalNetwork:
    """A network of stations that a model is transferred to.

    Attributes
    ----------
    split : Split
        Roles of its stations.
    seen : SeenHours
        Readings of the pollutants that the model reads.
    among : bool (station,)
        Stations that may be looked at.
    """

    split: Split
    seen: SeenHours
    among: NDArray[np.bool_]

    @property
    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes of the stations that may be looked at."""
        return self.split.lat[self.among], self.split.lon[self.among]

    @property
    def thinned(self) -> NDArray[np.float32]:
        """Readings of the stations that may be looked at, at hours enough for what lasts."""
        return self.seen.values[:: hour_stride(len(self.seen.values)), self.among]


def of_these_pollutants(bundle: Bundle, keys: Sequence[str], reads: Sequence[str] | None = None) -> Bundle:
    """Return a model that estimates those of its pollutants that are among `keys`, and reads those among `reads`.

    Without `reads` it reads what is among `keys`.

    Raises
    ------
    ModelError
        If none is common.
    """
    species, inputs = list(bundle.config.species), list(bundle.config.inputs or bundle.config.species)
    estimated = [key for key in species if key in keys]
    read = [key for key in inputs if key in (keys if reads is None else reads)]
    if not estimated:
        raise ModelError(
            f"no common pollutant: the model estimates {', '.join(species)}, the observations hold "
            f"{', '.join(keys)}; take another model or other observations"
        )
    if (estimated, read) == (species, inputs):
        return bundle
    numbers = (
        (len(inputs), [inputs.index(key) for key in read]),
        (len(species), [species.index(key) for key in estimated]),
    )
    return replace(
        bundle,
        config=bundle.config.model_copy(update={"species": estimated, "inputs": read}),
        members=[keep_pollutants(weights, *numbers) for weights in bundle.members],
        scaling={key: bundle.scaling[key] for key in read},
        calibration={key: table for key, table in bundle.calibration.items() if key in estimated},
        calibration_means={key: table for key, table in bundle.calibration_means.items() if key in estimated},
    )


def transfer_to(bundle: Bundle, local: LocalNetwork, static: StaticSource | None = None) -> Bundle:
    """Return the model with what a network of stations says of itself: scaling, drift, ranges and nuggets.

    Raises
    ------
    ObservationsError
        If a pollutant has no two different readings.
    """
    scaling = _scaling(bundle, local)
    drift = _drift(bundle, local, scaling, static)
    crowding = _crowding(bundle, local, scaling, drift)
    made = replace(bundle, scaling=scaling, drift=drift, crowding=crowding)
    if bundle.fields is not None:  # its ranges are those of what its covariates leave
        return made
    covariances = _covariances(bundle, local, scaling, (drift, crowding))
    tables = covariance_weights(covariances, bundle.config.model.kernels)
    metrics = bundle.metrics | {"starting_covariances": asdict(covariances)}
    return replace(made, members=[weights | tables for weights in bundle.members], metrics=metrics)


def _scaling(bundle: Bundle, local: LocalNetwork) -> dict[str, Scaling]:
    values, inputs = local.seen.values, bundle.config.inputs or bundle.config.species
    some = subsample_stride(values.shape[:2])
    scaling = fit_present_scalings(values[::some, local.among], inputs, bundle.scaling)
    for key in bundle.config.species:
        if scaling[key] is bundle.scaling[key]:
            raise ObservationsError(
                f"{get_species(key).title} has no two different readings in the hours that a calibration may see: "
                "leave its column out, or bring more data"
            )
    return scaling


def _drift(
    bundle: Bundle, local: LocalNetwork, scaling: dict[str, Scaling], static: StaticSource | None
) -> Drift | None:
    """Return what the ground says here, where enough towns tell; elsewhere what it said where the model was trained."""
    if not bundle.config.model.geography:
        return None
    return fit_drift(local.thinned, scaling, *local.places, static) or bundle.drift


def _crowding(bundle: Bundle, local: LocalNetwork, scaling: dict[str, Scaling], drift: Drift | None) -> Crowding | None:
    """Return what the closeness of stations says here: what it said elsewhere is no guide to other towns."""
    if not bundle.config.model.crowding or bundle.fields is not None:
        return None
    said = None if drift is None else drift.at(*local.places, list(scaling))
    return fit_crowding(standardised(local.thinned, scaling, said), *local.places)


def _covariances(
    bundle: Bundle, local: LocalNetwork, scaling: dict[str, Scaling], drifts: tuple[Drift | None, Crowding | None]
) -> BandCovariances:
    """Return the covariance models of the record, of what the model's first member splits readings into."""
    config, split = bundle.config, local.split
    inputs = list(config.inputs or config.species)
    timeline = local.seen.timeline(scaling, config, taken_off(drifts, split, local.among, inputs))
    targets: Sequence[int] = [inputs.index(key) for key in config.species]
    network = AQNet(len(inputs), list(targets), config.model)
    network.load_state_dict(bundle.members[0])
    roles = StationRoles(split.lat, split.lon, local.among, ~local.among)
    with torch.no_grad():
        return starting_covariances(timeline, roles, network)
