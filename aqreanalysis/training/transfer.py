"""A trained model transferred to another network of stations: its scaling, its ranges, its drift; the weights stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
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
    def roles(self) -> StationRoles:
        """The stations: those that may be looked at, and none to be scored."""
        return StationRoles(self.split.lat, self.split.lon, self.among, ~self.among)

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
    made = scaled_to(bundle, local, static)
    if bundle.fields is not None:  # its ranges are those of what its covariates leave
        return made
    crowding = _crowding(made, local)
    covariances = _covariances(made, local, crowding)
    tables = covariance_weights(covariances, bundle.config.model.kernels)
    metrics = bundle.metrics | {"starting_covariances": asdict(covariances)}
    members = [weights | tables for weights in bundle.members]
    return replace(made, crowding=crowding, members=members, metrics=metrics)


def scaled_to(bundle: Bundle, local: LocalNetwork, static: StaticSource | None = None) -> Bundle:
    """Return the model with the scaling and the drift of a network of stations, and without crowding.

    Raises
    ------
    ObservationsError
        If a pollutant has no two different readings.
    """
    scaling = _scaling(bundle, local)
    return replace(bundle, scaling=scaling, drift=_drift(bundle, local, scaling, static), crowding=None)


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


def _crowding(bundle: Bundle, local: LocalNetwork) -> Crowding | None:
    """Return what the closeness of stations says here: what it said elsewhere is no guide to other towns."""
    if not bundle.config.model.crowding:
        return None
    said = None if bundle.drift is None else bundle.drift.at(*local.places, list(bundle.scaling))
    return fit_crowding(standardised(local.thinned, bundle.scaling, said), *local.places)


def _covariances(bundle: Bundle, local: LocalNetwork, crowding: Crowding | None) -> BandCovariances:
    """Return the covariance models of the record, of what the model's first member splits readings into."""
    config = bundle.config
    inputs = list(config.inputs or config.species)
    off = taken_off((bundle.drift, crowding), local.split, local.among, inputs)
    targets: Sequence[int] = [inputs.index(key) for key in config.species]
    network = AQNet(len(inputs), list(targets), config.model)
    network.load_state_dict(bundle.members[0])
    return starting_covariances(local.seen.timeline(bundle.scaling, config, off), local.roles, network)
