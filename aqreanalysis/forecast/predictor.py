"""A trained long forecast at work: histories of the visible stations in, distributions of every lead at places out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import Degrees
from aqreanalysis.configs import ForecastConfig
from aqreanalysis.errors import ModelError
from aqreanalysis.forecast.covariates import history_fields, history_width
from aqreanalysis.forecast.distribution import LeadPredictive, lead_ranges, range_key
from aqreanalysis.forecast.network import Forecaster
from aqreanalysis.model.bundle import Bundle, load_member, read_bundle
from aqreanalysis.model.device import choose_device
from aqreanalysis.model.distribution.hourly import Calibration, mix_members
from aqreanalysis.model.network.neighbours import Geometry, find_neighbours
from aqreanalysis.model.network.scaling import FieldSource, scale_inputs
from aqreanalysis.model.predictor import check_covariates

_WINDOWS_AT_ONCE = 16


class ForecastPredictor:
    """A forecast bundle loaded onto a device.

    Attributes
    ----------
    species, inputs : tuple of str
        Pollutants that it forecasts, and that it reads.
    history_hours, lead_hours : int
        Hours read up to the origin, hours forecast after it.
    leads : int
        Leads of a distribution: `lead_hours` hourly means, then the means of each 24 of them.
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
        self.bundle = bundle
        self.config: ForecastConfig = bundle.config.forecast
        self.species = tuple(bundle.config.species)
        self.inputs = tuple(bundle.config.inputs or bundle.config.species)
        self.history_hours, self.lead_hours = self.config.history_hours, self.config.lead_hours
        self.leads = self.lead_hours + self.lead_hours // 24
        self.digest = bundle.digest
        self.device = choose_device(device) if isinstance(device, str) else device
        targets = [self.inputs.index(s) for s in self.species]
        self.covariates = check_covariates(bundle, covariates)
        width = history_width(bundle.fields)
        self._networks = [
            load_member(Forecaster(len(self.inputs), targets, self.config, width), weights, self.device)
            for weights in bundle.members
        ]

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
        if values.shape[1] != self.history_hours or values.shape[3] != len(self.inputs):
            raise ValueError(
                f"histories of {values.shape[1]} hours and {values.shape[3]} inputs, the model reads "
                f"{self.history_hours} and {len(self.inputs)}"
            )
        neighbours = self.config.neighbours
        if places is None:
            around = find_neighbours(station_lat, station_lon, station_lat, station_lon, neighbours, exclude_self=True)
        else:
            around = find_neighbours(station_lat, station_lon, *places, neighbours)
        scaled = scale_inputs(values, self.inputs, self.bundle.scaling)
        asked = (station_lat, station_lon) if places is None else places
        found = []
        for w in range(0, len(origins), _WINDOWS_AT_ONCE):
            some = slice(w, w + _WINDOWS_AT_ONCE)
            beside = self._fields(origins[some], *asked)
            found.append(self._members(scaled[some], origins[some], around, places is None, beside))
        location, scale = torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
        nearest = torch.from_numpy(around.nearest_km).to(self.device).repeat(len(origins))
        heard = torch.full_like(location[:, 0], around.index.shape[1])
        return {
            key: LeadPredictive(
                location[:, i], scale[:, i], nearest, heard, self.bundle.scaling[key], self._tables(key)
            )
            for i, key in enumerate(self.species)
        }

    @torch.inference_mode()
    def attention(
        self, values: NDArray[np.float32], origins: NDArray[np.int64], station_lat: Degrees, station_lon: Degrees
    ) -> NDArray[np.float32]:
        """Return how each lead day attends to the steps of the history, float32 (lead day, step), each day's sum one.

        The mean over windows, stations and members; arguments as of `forecast`. Steps are `config.patch_hours` long, in
        the order of time.
        """
        around = find_neighbours(
            station_lat, station_lon, station_lat, station_lon, self.config.neighbours, exclude_self=True
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


def load_forecaster(path: str | Path, device: str = "auto", covariates: FieldSource | None = None) -> ForecastPredictor:
    """Return the long forecast in directory `path`, ready on `device`, reading `covariates` if it was trained with any.

    Raises
    ------
    ModelError
        If the bundle is missing, unfinished or altered, holds an analysis model, or lacks its covariates.
    """
    return ForecastPredictor(read_bundle(path), device, covariates)
