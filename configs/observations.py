"""How station files are read and what quality control does with them: the sections `columns` and `quality`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Literal["ug m-3", "mg m-3", "ppb", "ppm"]

# Every test of quality control, in the order in which they run; see aqreanalysis/observations/quality.py.
QualityTest = Literal[
    "negative",
    "above_plausible_range",
    "stuck",
    "spike_in_time",
    "spike_against_neighbours",
    "pm25_above_pm10",
    "step_change",
    "too_little_data",
    "below_detection_limit",
]
DEFAULT_TESTS: tuple[QualityTest, ...] = ("negative", "above_plausible_range", "stuck", "spike_in_time")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnsConfig(_Strict):
    """Names of the columns of a station table, how its clock is to be read, and what is done with its oddities."""

    station: str = "station_id"
    time: str = "time"
    lat: str = "lat"
    lon: str = "lon"
    city: str | None = None
    species: dict[str, str] = Field(default_factory=dict, description="pollutant key -> column; others by their key")
    units: dict[str, Unit] = Field(default_factory=dict, description="pollutant key -> its unit")
    time_zone: str | None = Field(
        None,
        description="clock of the time column: UTC, an IANA name or +HH:MM; null: the format's own, UTC for tables",
    )
    stamp: Literal["end", "start"] | None = Field(
        None, description="which end of the averaging period is stamped; null: the format's own, end for tables"
    )
    check_clock: bool = Field(True, description="refuse records whose ozone does not peak in the solar afternoon")
    encoding: str | None = Field(None, description="encoding of text files; null: UTF-8, or told by the format")
    completeness: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.75, description="share of an hour that shorter averages must cover; an hour with less is flagged"
    )
    temperature_celsius: Annotated[float, Field(ge=-40.0, le=60.0)] = Field(
        20.0, description="temperature at which ppb and ppm become mass; 20 is the EU's, 25 the US EPA's and China's"
    )
    pressure_hpa: Annotated[float, Field(ge=300.0, le=1100.0)] = 1013.25
    repeats: Literal["refuse", "last", "first", "mean"] | None = Field(
        None, description="rows of one station-hour that differ; null: the format's own, refuse for tables"
    )
    moved_stations: Literal["refuse", "split"] | None = Field(
        None, description="a station id at several places: refuse, or one station a place; null: the format's own"
    )
    rename: dict[str, str] = Field(default_factory=dict, description="station id -> the id it continues")


class QualityConfig(_Strict):
    """Which tests of quality control run, and their thresholds where they differ from the built-in ones."""

    tests: tuple[QualityTest, ...] = Field(DEFAULT_TESTS, description="in any order; they run in the built-in one")
    limits: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="pollutant key -> threshold -> value, for example pm25.stuck_hours=24"
    )
