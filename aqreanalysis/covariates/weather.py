"""Tables of weather at stations (temperature, wind speed and direction ...) as the same fields as from maps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import nearest_point
from aqreanalysis.configs import WeatherTableConfig
from aqreanalysis.covariates.fields import FIELDS, get_field
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.tables import is_parquet, numbers_of, read_table
from aqreanalysis.covariates.units import conversion
from aqreanalysis.errors import CovariatesError

_COMPASS = {
    name: 22.5 * i
    for i, name in enumerate("N NNE NE ENE E ESE SE SSE S SSW SW WSW W WNW NW NNW".split())  # noqa: SIM905
}
# A stamp of another year is a typing error, and one of them would stretch the hours over centuries.
FIRST_YEAR, LAST_YEAR = 1900, 2100
#: Share of a column's readings that may lie outside the plausible range (they become missing): beyond, units are wrong.
_FEW = 0.01


def wind_components(speed: NDArray[np.floating], direction: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return eastward and northward wind from speed and the direction it comes FROM (degrees clockwise from north).

    A calm (speed 0) is a wind of zero whatever the direction; NaN where the speed, or the direction of a wind, is.
    """
    speed, direction = np.asarray(speed, np.float64), np.asarray(direction, np.float64)
    angle = np.radians(np.where(speed == 0, 0.0, direction))
    return np.asarray(-speed * np.sin(angle), np.float64), np.asarray(-speed * np.cos(angle), np.float64)


@dataclass
class WeatherStations:
    """Hourly weather at stations; a place has that of the nearest station within reach.

    Attributes
    ----------
    lat, lon : ndarray
        float64 (station,), degrees.
    stamps : ndarray
        int64 (hour,), ENDs of hours, UTC, ascending and without gaps.
    fields : dict
        Field -> float32 (hour, station), NaN where it was not measured.
    within_km : float
        Reach of a station.
    """

    product: str
    lat: Floats
    lon: Floats
    stamps: NDArray[np.int64]
    fields: dict[str, NDArray[np.float32]]
    within_km: float

    #: Asked before any map: measured where the place is.
    resolution: float = 0.0

    def title(self) -> str:
        """Return what it is in words."""
        return f"{self.product}: {len(self.lat)} weather stations"

    def hours(self, key: str) -> NDArray[np.int64]:
        """Return the hours that a field has at some station."""
        return self.stamps[np.isfinite(self.fields[key]).any(axis=1)]

    def values(self, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a field at places, float32 (hour, place), NaN where no station is near enough or it has none."""
        nearest, near = self._nearest(lat, lon)
        out = np.full((len(hours), len(lat)), np.nan, np.float32)
        row = np.minimum(np.searchsorted(self.stamps, hours), len(self.stamps) - 1)
        there = self.stamps[row] == hours
        out[np.ix_(there, near)] = self.fields[key][np.ix_(row[there], nearest[near])]
        return out

    def _nearest(self, lat: Floats, lon: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        index, distance = nearest_point(self.lat, self.lon, lat, lon)
        return index, distance <= self.within_km


def read_weather(path: Path, config: WeatherTableConfig, report: CovariatesReport) -> WeatherStations:
    """Return the weather of a long table (CSV or Parquet), a row a station and hour.

    Raises
    ------
    CovariatesError
        If it cannot be read, a column is missing, or values cannot be what their units say.
    """
    frame = _read(path, config)
    if not is_parquet(path) and not _ends_with_a_line(path):
        report.warnings.append(f"{path} ends without a line end: the last value in it may be cut short")
    table, places = _placed(frame, path, config)
    hours = np.arange(table["hour"].min(), table["hour"].max() + 1)
    repeated = int(table.duplicated(["hour", "station"]).sum())
    if repeated:
        report.warnings.append(f"{path}: {repeated} rows repeat a station-hour; the first is used")
        table = table.drop_duplicates(["hour", "station"])
    row = table["hour"].to_numpy(np.int64) - hours[0]
    column = table["station"].to_numpy(np.int64)

    def gridded(numbers: Floats) -> NDArray[np.float32]:
        out = np.full((len(hours), len(places)), np.nan, np.float32)
        out[row, column] = numbers
        return out

    fields = {}
    for key, name in config.fields.items():
        field = get_field(key)
        if name not in table:
            report.notes.append(f"{path}: no column {name!r}, so no {key}")
            continue
        how = conversion(config.units.get(key, field.units), field, f"{path}, column {name!r}")
        numbers = numbers_of(table[name], path) * how.factor + how.offset
        fields[key] = gridded(_believed(numbers, key, path, name, report))
    if config.wind_speed in table and config.wind_direction in table:
        speed = numbers_of(table[config.wind_speed], path)
        u, v = wind_components(speed, _direction(table[config.wind_direction], path, str(config.wind_direction)))
        for key, numbers in (("u10", u), ("v10", v)):
            fields[key] = gridded(_believed(numbers, key, path, str(config.wind_speed), report))
    if not fields:
        raise CovariatesError(
            f"{path} has no column of weather; set covariates.weather_table.fields (it has {_names(frame)})"
        )
    report.add("rows of weather", len(table))
    lat, lon = (places[name].to_numpy(np.float64) for name in ("lat", "lon"))
    return WeatherStations(path.stem, lat, lon, hours, fields, config.within_km)


def _read(path: Path, config: WeatherTableConfig) -> pd.DataFrame:
    frame = read_table(path)
    for name in (config.station, config.time, config.lat, config.lon):
        if name not in frame:
            raise CovariatesError(
                f"{path} has no column {name!r}; set covariates.weather_table (it has {_names(frame)})"
            )
    if frame.empty:
        raise CovariatesError(f"{path} has no rows")
    return frame


def _names(frame: pd.DataFrame) -> str:
    return repr(", ".join(map(str, frame)))[1:-1][:200]


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) in b"\r\n"


def _placed(frame: pd.DataFrame, path: Path, config: WeatherTableConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with columns `hour` and `station` (a number), and a table of places in that order."""
    times = pd.to_datetime(frame[config.time], errors="coerce", utc=True)
    wrong = times.isna()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise CovariatesError(f"{path}, row {row + 1}: {str(frame[config.time].iloc[row])!r:.60} is no time in UTC")
    far = ~times.dt.year.between(FIRST_YEAR, LAST_YEAR)
    if far.any():
        row = int(np.flatnonzero(far)[0])
        raise CovariatesError(f"{path}, row {row + 1}: {times.iloc[row]} is not of {FIRST_YEAR} to {LAST_YEAR}")
    since = (times.dt.tz_localize(None) - pd.Timestamp(0)) / pd.Timedelta(hours=1)
    if (since % 1 != 0).any():
        row = int(np.flatnonzero(since % 1 != 0)[0])
        raise CovariatesError(f"{path}, row {row + 1}: {times.iloc[row]} is no full hour")
    code, names = pd.factorize(frame[config.station].astype(str), sort=True)
    lat, lon = (numbers_of(frame[name], path) for name in (config.lat, config.lon))
    placed = pd.DataFrame({"lat": lat, "lon": lon, "code": code}).groupby("code").median()
    if not (placed["lat"].between(-90, 90) & placed["lon"].between(-360, 360)).all():
        at = int(np.flatnonzero(~(placed["lat"].between(-90, 90) & placed["lon"].between(-360, 360)))[0])
        raise CovariatesError(f"{path}: station {names[at]!s:.60} has no latitude and longitude in degrees")
    return frame.assign(hour=since.astype(np.int64).to_numpy(), station=code), placed


def _direction(column: pd.Series, path: Path, name: str) -> Floats:
    """Return degrees, also from points of the compass (``NNW``)."""
    if pd.api.types.is_numeric_dtype(column):
        degrees = np.asarray(column, np.float64)
    else:
        text = column.astype("string").str.strip().str.upper()
        degrees = np.asarray(text.map(_COMPASS).astype(np.float64))
        words = np.isnan(degrees) & column.notna().to_numpy()
        if words.any():
            row = int(np.flatnonzero(words)[0])
            raise CovariatesError(
                f"{path}, row {row + 1}: {str(column.iloc[row])!r:.60} in column {name!r} is no wind direction"
            )
    if np.nanmin(degrees, initial=0.0) < 0 or np.nanmax(degrees, initial=0.0) > 360:
        raise CovariatesError(f"{path}: column {name!r} has directions outside 0 to 360 degrees")
    return degrees


def _believed(numbers: Floats, key: str, path: Path, name: str, report: CovariatesReport) -> Floats:
    """Return numbers with those that cannot be as NaN, counted; refuse a column in which they are many."""
    low, high = FIELDS[key].plausible
    with np.errstate(invalid="ignore"):
        wrong = (numbers < low) | (numbers > high)
    seen = int(np.isfinite(numbers).sum())
    if wrong.sum() > _FEW * max(seen, 1):
        raise CovariatesError(
            f"{path}: column {name!r} as {key} runs from {np.nanmin(numbers):g} to {np.nanmax(numbers):g} "
            f"{FIELDS[key].units}, believable is {low:g} to {high:g}; set covariates.weather_table.units.{key}"
        )
    if wrong.any():
        report.warnings.append(
            f"{path}: {int(wrong.sum())} readings of {name!r} outside {low:g} to {high:g}, taken as missing"
        )
    return np.where(wrong, np.nan, numbers)
