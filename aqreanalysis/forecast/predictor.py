"""A trained long forecast at work: histories of the visible stations in, distributions of every lead at places out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import Degrees
from aqreanalysis.configs import ForecastConfig
from aqreanalysis.errors import ModelError
from aqreanalysis.forecast.distribution import LeadPredictive, lead_ranges, range_key
from aqreanalysis.forecast.network import Forecaster
from aqreanalysis.forecast.windows import history_fields, history_width
from aqreanalysis.model.bundle import MODEL, Bundle, load_member, read_bundle
from aqreanalysis.model.distribution.hourly import Calibration, mix_members
from aqreanalysis.model.distribution.period_means import MeansCalibration
from aqreanalysis.model.network.neighbours import Geometry, find_neighbours
from aqreanalysis.model.network.scaling import FieldSource, scale_inputs
from aqreanalysis.model.protocol import (
    BlockWindow,
    BundlePredictor,
    CubeText,
    EncodedStations,
    PlaceGeometry,
    Predictor,
)
from aqreanalysis.species import SPECIES

#: Where the scores of `evaluate --protocol forecast` stand among a bundle's metrics.
SCORES = "forecast"

_WINDOWS_AT_ONCE = 16
# Places of a window: the histories of a whole tile would fill the memory.
_PLACES_AT_ONCE = 512


@dataclass(frozen=True)
class EncodedHistory(EncodedStations):
    """What the stations read up to the origin.

    Attributes
    ----------
    scaled : float32 (1, hour, station, input)
        Standardised logs, NaN where missing.
    origin : int64 (1,)
        Stamp of the last hour, in hours since 1970-01-01.
    """

    scaled: NDArray[np.float32]
    origin: NDArray[np.int64]


@dataclass(frozen=True)
class ForecastGeometry(PlaceGeometry):
    """Places without a station, and the stations around them.

    Attributes
    ----------
    around : Geometry
        Each place's neighbours.
    nearest_km : float32 (place,)
        Distance to the nearest station.
    lat, lon : float64 (place,)
        Degrees.
    """

    around: Geometry
    nearest_km: NDArray[np.float32]
    lat: Degrees
    lon: Degrees


class ForecastPredictor(BundlePredictor):
    """A long forecast, a `Predictor`: a bundle loaded onto a device.

    What it estimates is anchored to the origin, the record's last reading: the hours after it, up to `lead_hours`,
    all from the same histories. A cell of a grid is to it what a hidden station was in training and evaluation, a place
    that tells nothing itself.

    Attributes
    ----------
    species, inputs : tuple of str
        Pollutants that it forecasts, and that it reads.
    history_hours, lookahead_hours, lead_hours : int
        Hours read up to the origin and after it (none), hours forecast after it.
    leads : int
        Leads of a distribution: `lead_hours` hourly means, then the means of each 24 of them.
    config : Config
        As trained.
    digest : str
        Of the model.
    bundle : Bundle
        Stations with their roles, provenance.
    covariates : FieldSource or None
        Where the covariates of the histories are read; None for a model without.
    """

    def __init__(
        self, bundle: Bundle, device: str | torch.device = "auto", covariates: FieldSource | None = None
    ) -> None:
        if bundle.config.forecast is None:
            raise ModelError(
                "the model estimates the analysis and no long forecast: train one with 'aqreanalysis train --config "
                "forecast'"
            )
        super().__init__(bundle, device, covariates)
        self.settings: ForecastConfig = bundle.config.forecast
        self.history_hours, self.lookahead_hours = self.settings.history_hours, 0
        self.lead_hours = self.settings.lead_hours
        self.leads = self.lead_hours + self.lead_hours // 24
        self.calibration_means: Mapping[str, MeansCalibration] = {}
        width = history_width(bundle.fields)
        self._networks = [
            load_member(Forecaster(len(self.inputs), self._targets, self.settings, width), weights, self.device)
            for weights in bundle.members
        ]

    def timeline(self, observed: tuple[int, int]) -> tuple[int, int]:
        """Return the stamps of the first and the last hour after the last reading."""
        return observed[1] + 1, observed[1] + self.lead_hours

    def window(self, hours: range, last_reading: int) -> BlockWindow:
        """Return the histories up to the last reading, and all hours that are forecast from it, whichever are asked."""
        first = last_reading + 1
        return BlockWindow(range(first - self.history_hours, first), range(first, first + self.lead_hours))

    def covariate_reach(self) -> tuple[int, int]:
        """Return of how many hours before an hour covariates may be read for it; none after it are."""
        return self.history_hours + self.lead_hours, 0

    def cube_text(self) -> CubeText:
        """Return what a cube says of the kind of its estimates."""
        return CubeText(
            "forecast",
            f"observed in the {self.history_hours} h up to the last reading",
            f"All hours are forecast from the {self.history_hours} h up to the last reading, with no weather forecast; "
            "forecast_lead_time says how far ahead.",
        )

    def measured(self) -> dict[str, str]:
        """Return the skill by lead time that was measured at hidden stations, or that none was."""
        return {"forecast_skill_measured": measured_skill(self.bundle.metrics)}

    @torch.inference_mode()
    def encode(
        self,
        values: NDArray[np.float32],
        hours: NDArray[np.int64],
        station_lat: Degrees,
        station_lon: Degrees,
    ) -> EncodedHistory:
        """Return the stations' histories; arguments as of `Predictor.encode`, the last of `hours` the origin."""
        self._check(values[None])
        return EncodedHistory(scale_inputs(values, self.inputs, self.bundle.scaling)[None], hours[-1:])

    def split_hours(self, estimated: range, threads: int) -> list[range]:
        """Return all hours: histories are no work that threads could share."""
        return [estimated]

    def join(self, parts: Sequence[EncodedStations]) -> EncodedStations:
        """Return the only part that `split_hours` makes."""
        (part,) = parts
        return part

    def geometry(
        self,
        station_lat: Degrees,
        station_lon: Degrees,
        lat: Degrees,
        lon: Degrees,
        steps: tuple[float, float] | None = None,
    ) -> ForecastGeometry:
        """Return places without a station, and the stations around them; arguments as of `Predictor.geometry`."""
        around = find_neighbours(station_lat, station_lon, lat, lon, self.settings.neighbours)
        return ForecastGeometry(around, around.nearest_km, lat, lon)

    @torch.inference_mode()
    def predict(
        self, encoded: EncodedStations, places: PlaceGeometry, species: Sequence[str] | None = None
    ) -> dict[str, LeadPredictive]:
        """Return each pollutant's distribution at each hour after the origin and place (hour, place)."""
        assert isinstance(encoded, EncodedHistory) and isinstance(places, ForecastGeometry)
        parts = []
        for begin in range(0, len(places.lat), _PLACES_AT_ONCE):
            some = slice(begin, begin + _PLACES_AT_ONCE)
            fields = self._fields(encoded.origin, places.lat[some], places.lon[some])
            parts.append(self._members(encoded.scaled, encoded.origin, places.around.of(some), False, fields))
        location, scale = (torch.cat(part)[..., : self.lead_hours] for part in zip(*parts, strict=True))
        nearest = torch.from_numpy(places.nearest_km).to(self.device)
        neighbours = places.around.index.to(self.device)
        predictives = {}
        for i, key in enumerate(self.species):
            if species is None or key in species:
                reporting = np.isfinite(encoded.scaled[0, ..., self.inputs.index(key)]).any(axis=0)
                available = torch.from_numpy(reporting).to(self.device)[neighbours].sum(dim=1)
                tables = {name: table for name, table in self._tables(key).items() if table[0].stop <= self.lead_hours}
                predictives[key] = LeadPredictive(
                    location[:, i], scale[:, i], nearest, available.to(location), self.bundle.scaling[key], tables
                )
        return predictives

    @torch.inference_mode()
    def forecast(
        self,
        values: NDArray[np.float32],
        origins: NDArray[np.int64],
        station_lat: Degrees,
        station_lon: Degrees,
        places: tuple[Degrees, Degrees] | None = None,
    ) -> dict[str, LeadPredictive]:
        """Return each pollutant's predictive distribution, its arrays of shape (lead, window * place).

        Parameters
        ----------
        values : float32 (window, history, station, input)
            Concentrations up to the origin, in their units, NaN where missing.
        origins : int64 (window,)
            Stamp of each window's last hour, in hours since 1970-01-01.
        station_lat, station_lon : float64 (station,)
            Degrees.
        places : pair of float64 (place,), optional
            Latitude and longitude of places without a station; the stations themselves where it is not given.
        """
        self._check(values)
        neighbours = self.settings.neighbours
        if places is None:
            around = find_neighbours(station_lat, station_lon, station_lat, station_lon, neighbours, exclude_self=True)
        else:
            around = find_neighbours(station_lat, station_lon, *places, neighbours)
        scaled = scale_inputs(values, self.inputs, self.bundle.scaling)
        asked = (station_lat, station_lon) if places is None else places
        parts = []
        for w in range(0, len(origins), _WINDOWS_AT_ONCE):
            some = slice(w, w + _WINDOWS_AT_ONCE)
            beside = self._fields(origins[some], *asked)
            parts.append(self._members(scaled[some], origins[some], around, places is None, beside))
        location, scale = torch.cat([f[0] for f in parts]), torch.cat([f[1] for f in parts])
        nearest = torch.from_numpy(around.nearest_km).to(self.device).repeat(len(origins))
        available = location.new_full((len(location),), around.index.shape[1])
        return {
            key: LeadPredictive(
                location[:, i], scale[:, i], nearest, available, self.bundle.scaling[key], self._tables(key)
            )
            for i, key in enumerate(self.species)
        }

    @torch.inference_mode()
    def attention(
        self, values: NDArray[np.float32], origins: NDArray[np.int64], station_lat: Degrees, station_lon: Degrees
    ) -> NDArray[np.float32]:
        """Return how each lead day attends to the steps of the history, float32 (lead day, step), each day's sum one.

        The mean over windows, stations and members; arguments as of `forecast`. Steps are `settings.patch_hours` long,
        in the order of time.
        """
        around = find_neighbours(
            station_lat, station_lon, station_lat, station_lon, self.settings.neighbours, exclude_self=True
        ).to(self.device)
        scaled = torch.from_numpy(scale_inputs(values, self.inputs, self.bundle.scaling)).to(self.device)
        total = []
        for w in range(len(origins)):
            some = slice(w, w + 1)
            beside = self._fields(origins[some], station_lat, station_lon)
            hours = torch.full((len(station_lat),), int(origins[w]), device=self.device)
            for network in self._networks:
                history = network.history(scaled[some], scaled[some], around, beside)
                total.append(network.attention(history, hours).mean(dim=0))
        return torch.stack(total).mean(dim=0).cpu().numpy()

    def _check(self, values: NDArray[np.float32]) -> None:
        """Refuse histories (window, hour, station, input) that the model cannot read."""
        if values.shape[1] != self.history_hours or values.shape[3] != len(self.inputs):
            raise ValueError(
                f"histories of {values.shape[1]} hours and {values.shape[3]} inputs, the model reads "
                f"{self.history_hours} and {len(self.inputs)}"
            )

    def _tables(self, key: str) -> dict[str, tuple[slice, Calibration]]:
        ranges = lead_ranges(self.lead_hours)
        return {name: (leads, self.bundle.calibration[range_key(key, name)]) for name, leads in ranges.items()}

    def _fields(self, origins: NDArray[np.int64], lat: Degrees, lon: Degrees) -> torch.Tensor | None:
        """Return the covariates of the histories, standardised (window, hour, place, field); None without any."""
        if self.covariates is None or self.bundle.fields is None:
            return None
        hours = origins[:, None] + np.arange(1 - self.history_hours, 1)
        known, where = np.unique(hours, return_inverse=True)
        read = history_fields(self.covariates.at(lat, lon, known), self.bundle.fields)
        return torch.from_numpy(read[where.reshape(hours.shape)]).to(self.device)

    def _members(
        self,
        scaled: NDArray[np.float32],
        origins: NDArray[np.int64],
        around: Geometry,
        at_stations: bool,
        fields: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return location and scale (window * place, target, lead): the mean of the members, and all their variance."""
        stations = torch.from_numpy(scaled).to(self.device)
        places = around.index.shape[0]
        own = (
            stations if at_stations else stations.new_full((*stations.shape[:2], places, stations.shape[3]), torch.nan)
        )
        hours = torch.from_numpy(np.ascontiguousarray(origins)).to(self.device).repeat_interleave(places)
        near = around.to(self.device)
        parts = [n(n.history(own, stations, near, fields), hours) for n in self._networks]
        return mix_members([p[0] for p in parts], [p[1] for p in parts])


# Told to the type checker, since `load_predictor` finds the class by its name.
_ANSWERS: type[Predictor] = ForecastPredictor


def load_forecaster(path: str | Path, device: str = "auto", covariates: FieldSource | None = None) -> ForecastPredictor:
    """Return the long forecast in directory `path`, ready on `device`, reading `covariates` if it was trained with any.

    Raises
    ------
    ModelError
        If the bundle is missing, unfinished or altered, holds an analysis model, or lacks its covariates.
    """
    return ForecastPredictor(read_bundle(path), device, covariates)


def measured_skill(bundle_metrics: Mapping[str, Any]) -> str:
    """Return in one ASCII sentence the errors by lead time at hidden stations, or that they were not measured."""
    metrics = bundle_metrics.get(SCORES)
    if not metrics:
        return "not measured: the model was not evaluated with --protocol forecast"
    parts = []
    for key, of_species in metrics["species"].items():
        if "hidden" not in of_species:
            return "not measured at places without a station: no station was hidden from the model"
        title, units = SPECIES[key].title, SPECIES[key].units
        scores = (
            f"{label}: MAE {s['mae']:.3g}, RMSE {s['rmse']:.3g}, R2 {s['r2']:.2f}, coverage {s['coverage']:.2f}"
            for label, s in of_species["hidden"]["methods"][MODEL]["horizons"].items()
        )
        parts.append(f"{title} ({units}, {of_species['hidden']['stations']} stations): {'; '.join(scores)}")
    return (
        f"errors and coverage of the {metrics['coverage']:.0%} interval at stations hidden from the model, forecasts "
        f"from {metrics['unseen_from']} on, over the first hours (h) and over the means of the first days (d): "
        f"{'. '.join(parts)}"
    )
