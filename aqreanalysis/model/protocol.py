"""What a trained model answers, whatever is inside it: the seam between the models and the rooms that ask them.

AQ-Net's analysis (`aqreanalysis.model.predictor`) and the long forecast (`aqreanalysis.forecast.predictor`) both do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.common.described import Described, few
from aqreanalysis.common.geodesy import Degrees
from aqreanalysis.configs import Config
from aqreanalysis.errors import ModelError
from aqreanalysis.model.bundle import Bundle, read_bundle
from aqreanalysis.model.device import choose_device
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.distribution.hourly import Array, Summary
from aqreanalysis.model.distribution.period_means import MeansCalibration
from aqreanalysis.model.network.scaling import FieldSource, Paths

# The class that answers for a bundle, by whether its config has the section `forecast`. By name: this room knows no
# room above it, and what is not asked for is not loaded.
_ANALYSIS = "aqreanalysis.model.predictor", "AnalysisPredictor"
_FORECAST = "aqreanalysis.forecast.predictor", "ForecastPredictor"
# What opens the files of covariates.
_FILES = "aqreanalysis.covariates.given"


class EncodedStations:
    """What the stations say over a block of hours, as one kind of predictor holds it; others only hand it on."""


class PlaceGeometry:
    """A set of places, as one kind of predictor sees them from the stations; time plays no part.

    Attributes
    ----------
    nearest_km : float32 (place,)
        Distance to the nearest station.
    """

    nearest_km: NDArray[np.float32]


@dataclass(frozen=True)
class BlockWindow:
    """What some hours of a cube are made from, as stamps in hours since 1970-01-01.

    Attributes
    ----------
    read : range
        Hours whose readings are read: what `Predictor.encode` is given.
    estimated : range
        Hours that are estimated together, among them those that were asked for: what `Predictor.predict` returns.
    """

    read: range
    estimated: range


@dataclass(frozen=True)
class CubeText:
    """What a cube says of the kind of its estimates.

    Attributes
    ----------
    product : str
        What its hours are, where they are no analysis: ``forecast``; empty otherwise.
    counted : str
        Which neighbours the number of observations counts: those ``observed at the hour``.
    remark : str
        A sentence or two for the cube's comment; empty where there is nothing to say.
    """

    product: str = ""
    counted: str = "observed at the hour"
    remark: str = ""


class HourlyDistribution(Protocol):
    """Distribution of the hourly mean at each hour and place, (hour, place) throughout, in the pollutant's units."""

    @property
    def best(self) -> Array:
        """The median."""

    @property
    def mean(self) -> Array:
        """The mean."""

    @property
    def standard_error(self) -> Array:
        """The standard deviation."""

    @property
    def observations_used(self) -> NDArray[np.int16]:
        """How many of the nearest stations the estimate rests on."""

    @property
    def reporting_km(self) -> Array:
        """Distance to the nearest station that reports the pollutant; infinite where none does."""

    def summary(self, coverage: float = 0.9) -> Summary:
        """Return best, mean, standard error and the bounds of the central interval at once."""

    def interval(self, coverage: float = 0.9) -> tuple[Array, Array]:
        """Return the lower and upper bound of the central interval that covers `coverage`."""

    def exceedance(self, threshold: float) -> Array:
        """Return the probability that the concentration exceeds `threshold`, in its units."""

    def cdf(self, value: Array | float) -> Array:
        """Return the probability that the concentration is at most `value`; NaN stays NaN."""

    def crps(self, observed: Array) -> Array:
        """Return the continuous ranked probability score against `observed`; NaN where there is no observation."""


@runtime_checkable
class Predictor(Protocol):
    """A trained model that estimates hourly concentrations at any place from the readings of stations.

    Attributes
    ----------
    species, inputs : tuple of str
        Pollutants that it estimates, and that it reads.
    history_hours, lookahead_hours : int
        Hours whose readings it reads before and after those that it estimates.
    lead_hours : int
        Hours after the last reading that it can estimate.
    digest : str
        Of the model; part of a cube's fingerprint.
    config : Config
        As trained.
    device : torch.device
        Where it computes.
    covariates : FieldSource or None
        Where its covariates are read, block by block; None for a model without.
    calibration_means : mapping of str to MeansCalibration
        By pollutant, of daily, monthly and annual means; empty where there is none.
    reach_km : mapping of str to float
        By pollutant, the distance to the nearest station that reports up to which its hourly intervals were calibrated;
        what is not there is unknown.
    trained_on_synthetic : str
        What is to be said of a synthetic origin of the readings that it was trained on; empty where they are real.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> predictor = aq.load_predictor("models/north", device="cpu")
    >>> isinstance(predictor, aq.Predictor), predictor.inputs
    (True, ('pm25', 'o3'))
    """

    species: tuple[str, ...]
    inputs: tuple[str, ...]
    history_hours: int
    lookahead_hours: int
    lead_hours: int
    digest: str
    config: Config
    device: torch.device
    covariates: FieldSource | None
    calibration_means: Mapping[str, MeansCalibration]
    reach_km: Mapping[str, float]
    trained_on_synthetic: str

    def timeline(self, observed: tuple[int, int]) -> tuple[int, int]:
        """Return the first and the last stamp that can be estimated from readings whose stamps span `observed`."""

    def window(self, hours: range, last_reading: int) -> BlockWindow:
        """Return what `hours` (stamps, hours since 1970-01-01) are made from; `last_reading` is the last stamp.

        Windows are anchored to absolute time, never to where a run or a block begins.
        """

    def covariate_reach(self) -> tuple[int, int]:
        """Return of how many hours before and after an hour it reads covariates for it."""

    def cube_text(self) -> CubeText:
        """Return what a cube says of the kind of its estimates."""

    def measured(self) -> Mapping[str, str]:
        """Return what was measured of its hourly estimates where it had no reading, as attributes of a cube (ASCII)."""

    def encode(
        self,
        values: NDArray[np.float32],
        hours: NDArray[np.int64],
        station_lat: Degrees,
        station_lon: Degrees,
    ) -> EncodedStations:
        """Return what the stations say of the hours that a `window` estimates together.

        Parameters
        ----------
        values : float32 (hour, station, input)
            Concentrations in their units over the hours that the window reads, NaN where missing.
        hours : int64 (hour,)
            Their stamps, hours since 1970-01-01.
        station_lat, station_lon : float64 (station,)
            Degrees.
        """

    def split_hours(self, estimated: range, threads: int) -> list[range]:
        """Return parts of the hours of a window that each of so many threads may `encode` by itself, for `join`; one
        part where they may not be apart."""

    def join(self, parts: Sequence[EncodedStations]) -> EncodedStations:
        """Return what the stations say of parts that follow each other."""

    def geometry(
        self,
        station_lat: Degrees,
        station_lon: Degrees,
        lat: Degrees,
        lon: Degrees,
        steps: tuple[float, float] | None = None,
    ) -> PlaceGeometry:
        """Return places (degrees, float64) as the model sees them; `steps` are those of the grid that they are of."""

    def predict(
        self, encoded: EncodedStations, places: PlaceGeometry, species: Sequence[str] | None = None
    ) -> Mapping[str, HourlyDistribution]:
        """Return each pollutant's distribution at each hour of the window and place, or those of `species` alone."""


def load_predictor(
    path: str | Path,
    device: str = "auto",
    covariates: FieldSource | Paths | None = None,
    static: StaticSource | Paths | None = None,
) -> Predictor:
    """Return the model in directory `path`, ready on `device`: an analysis or a long forecast.

    Parameters
    ----------
    path : str or Path
        Directory of the bundle.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    covariates : FieldSource or paths, optional
        Needed by a model that was trained with covariates, and by no other.
    static : StaticSource or paths, optional
        The files of the static fields in the model's drift, where it has any.

    Raises
    ------
    ModelError
        If the bundle is missing, unfinished or altered; if covariates or static fields are missing, are other files,
        or are given to a model without.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> aq.load_predictor("models/north", device="cpu").species
    ('pm25', 'o3')
    """
    bundle = read_bundle(path)
    ahead = bundle.config.forecast is not None
    if ahead and static is not None:
        raise ModelError(f"model {path} is a long forecast and has no drift for static fields: leave --static out")
    if covariates is not None or static is not None:
        files = import_module(_FILES)
        covariates = files.as_covariates(covariates, bundle.config.covariates, trained=True)
        static = files.as_static(static, bundle.config.drift, trained=True)
    module, name = _FORECAST if ahead else _ANALYSIS
    given = (bundle, device, covariates) if ahead else (bundle, device, covariates, static)
    predictor: Predictor = getattr(import_module(module), name)(*given)
    return predictor


def resolve_predictor(
    model: str | Path | Predictor,
    device: str = "auto",
    covariates: FieldSource | Paths | None = None,
    static: StaticSource | Paths | None = None,
) -> Predictor:
    """Return the model in a directory, on `device`, with `covariates` and `static`, or one that is loaded as it is.

    Raises
    ------
    ModelError
        As of `load_predictor`; or if `model` is neither.
    """
    if isinstance(model, Predictor):
        return model
    return load_predictor(model, device, covariates, static)


class BundlePredictor(Described):
    """What every predictor takes over from the bundle that it was loaded from.

    Parameters
    ----------
    bundle : Bundle
        Members, scalings, stations with their roles, provenance.
    device : str or torch.device
        Where it computes.
    covariates : FieldSource, optional
        Needed by a model that was trained with covariates, and by no other.

    Raises
    ------
    ModelError
        If covariates that it was trained with are missing, which are named, or it is given some and knows none.
    """

    def __init__(
        self, bundle: Bundle, device: str | torch.device = "auto", covariates: FieldSource | None = None
    ) -> None:
        self.bundle, self.config, self.digest = bundle, bundle.config, bundle.digest
        self.species = tuple(bundle.config.species)
        self.inputs = tuple(bundle.config.inputs or bundle.config.species)
        tables = bundle.calibration.items()
        self.reach_km: Mapping[str, float] = {
            key: table.reach_km for key, table in tables if table.reach_km is not None
        }
        self.trained_on_synthetic = str(bundle.provenance.get("synthetic", ""))
        self.device = device if isinstance(device, torch.device) else choose_device(device)
        self._targets = [self.inputs.index(s) for s in self.species]
        self.covariates: FieldSource | None = None
        if bundle.fields is not None:
            self.covariates = bundle.fields.check(covariates)
        elif covariates is not None:
            raise ModelError(
                "the model was trained without covariates and cannot use any: leave --covariates out, or train one "
                "with it"
            )

    def facts(self) -> tuple[str, list[tuple[str, str]]]:
        """Return what it is, and pollutants, stations, hours and provenance, as `repr` and notebooks show them."""
        what = "long forecast" if self.config.forecast is not None else "analysis"
        trained = self.bundle.provenance.get("observations", {})
        pairs = [
            ("estimates", ", ".join(self.species)),
            ("reads", ", ".join(self.inputs)),
            ("networks", f"{len(self.bundle.members)}, on {self.device}"),
            *([("covariates", few(self.bundle.fields.names))] if self.bundle.fields is not None else []),
            *([("trained on", f"{trained['stations']} stations")] if "stations" in trained else []),
            ("digest", self.digest[:16]),
        ]
        return f"Predictor of AQ-Net, {what}", pairs
