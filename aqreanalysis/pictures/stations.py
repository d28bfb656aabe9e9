"""Stations over a map: where they stand, which of them the model was never given, what they read."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ModelError, ObservationsError, in_one_line

if TYPE_CHECKING:
    from aqreanalysis.observations import Observations

# Where a bundle lies beside cubes: in their folder, or among models; so many are looked at.
_NEAR = ("*/provenance.json", "models/*/provenance.json")
_LOOKED_AT = 200
_COLUMNS = ("station", "lat", "lon", "role")


@dataclass(frozen=True)
class StationMarkers:
    """Stations to mark.

    Attributes
    ----------
    names : list of str
        Ids.
    lat, lon : float64 (station,)
        Degrees.
    hidden : bool (station,)
        Hidden from the model's training, by the roles in its bundle.
    observations : Observations or None
        Readings, of stations in the order of `names`.
    """

    names: list[str]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    hidden: NDArray[np.bool_]
    observations: Observations | None = None

    def readings(self, key: str, first: np.datetime64, last: np.datetime64) -> NDArray[np.float64]:
        """Return the mean reading (station,) of hours that begin at `first` or later and end by `last`; NaN if none."""
        result = np.full(len(self.names), np.nan)
        if self.observations is None or key not in self.observations.species:
            return result
        times = self.observations.times.values
        some = self.observations.values(key)[(times > first) & (times <= last)].astype(np.float64)
        count = np.isfinite(some).sum(axis=0)
        return np.where(count > 0, np.nansum(some, axis=0) / np.maximum(count, 1), np.nan)

    def inside(self, west: float, south: float, east: float, north: float) -> NDArray[np.bool_]:
        """Return which stations lie in a box; a box past 180 degrees also holds those 360 degrees away."""
        shifted = np.where(self.lon < west, self.lon + 360.0, self.lon)
        return (shifted <= east) & (self.lat >= south) & (self.lat <= north)


def station_markers(model: str | Path | None, observations: Observations | None) -> StationMarkers | None:
    """Return the stations of a model bundle, of observations, or of observations with the bundle's roles.

    Raises
    ------
    ModelError
        If the bundle has no list of stations that can be read.
    ObservationsError
        If bundle and observations have no station in common, so that no role would be known.
    """
    roles = None if model is None else _roles(Path(model))
    if observations is None:
        if roles is None:
            return None
        hidden = roles["role"].str.startswith("hidden").to_numpy(bool)
        lat, lon = (roles[c].to_numpy(np.float64) for c in ("lat", "lon"))
        return StationMarkers(roles["station"].astype(str).tolist(), lat, lon, hidden)
    hidden = np.zeros(len(observations.stations), bool)
    if roles is not None:
        away = roles.loc[roles["role"].str.startswith("hidden"), "station"].astype(str)
        if not np.isin(observations.stations, roles["station"].astype(str)).any():
            raise ObservationsError(
                f"no station of the observations is in {model}: give the observations that the model was trained on, "
                "or leave out one of --model and --observations"
            )
        hidden = np.isin(observations.stations, away)
    return StationMarkers(list(observations.stations), observations.lat, observations.lon, hidden, observations)


def find_model(cube: Path, digest: str) -> Path | None:
    """Return the bundle that a cube was made with, where it still lies near; None where it does not.

    Parameters
    ----------
    cube : Path
        A cube on a disk of this machine.
    digest : str
        Of the model, as the cube says it.
    """
    homes = dict.fromkeys((cube.parent.resolve(), cube.parent.resolve().parent, Path("outputs").resolve()))
    near = (path for home in homes for pattern in _NEAR for path in sorted(home.glob(pattern)))
    for path in itertools.islice(near, _LOOKED_AT):
        try:
            with path.open(encoding="utf-8") as file:
                provenance = json.load(file)
        except (OSError, ValueError):
            continue
        if isinstance(provenance, dict) and provenance.get("model_digest") == digest:
            return path.parent
    return None


def _roles(model: Path) -> pd.DataFrame:
    path = model / "stations.parquet"
    if not path.is_file():
        raise ModelError(
            f"no model bundle at {str(model)!r}: it has no stations.parquet; 'aqreanalysis train' makes one"
        )
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {in_one_line(error)}") from None
    lacking = [c for c in _COLUMNS if c not in frame.columns]
    if lacking:
        raise ModelError(f"{path} has no column {lacking[0]}; is it the bundle of another program?")
    return frame
