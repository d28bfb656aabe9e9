"""Meteorology and other covariates: which fields are taken from the files, and how they are brought to a place."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StaticConfig(_Strict):
    """How one raster becomes a number, or several, at a place."""

    method: Literal["bilinear", "mean", "fractions"] = Field(
        "mean", description="value at the point, mean over the window, or the share of the window in each class"
    )
    window_km: Positive = Field(2.0, description="width of the window around a station or the centre of a cell")
    classes: dict[str, list[int]] | None = Field(
        None, description="for fractions: name of a class -> the values of the raster that belong to it"
    )

    @model_validator(mode="after")
    def _classes_and_fractions_go_together(self) -> StaticConfig:
        if (self.method == "fractions") != (self.classes is not None):
            raise ValueError("method 'fractions' needs classes, and only it: {urban: [50], forest: [10, 20]}")
        if self.classes is not None and not all(self.classes.values()):
            raise ValueError("a class without values: give each at least one value of the raster")
        return self


class WeatherTableConfig(_Strict):
    """Columns of a table of weather at stations; its times are UTC, stamped at the END of the hour."""

    station: str = "station_id"
    time: str = "time"
    lat: str = "lat"
    lon: str = "lon"
    fields: dict[str, str] = Field(
        default_factory=lambda: {"t2m": "temp", "d2m": "dewp", "sp": "pres", "tp": "rain"},
        description="field -> column",
    )
    units: dict[str, str] = Field(
        default_factory=lambda: {"t2m": "degC", "d2m": "degC", "sp": "hPa", "tp": "mm"}, description="field -> its unit"
    )
    wind_speed: str | None = Field("wspm", description="column of the wind speed at 10 m, m s-1")
    wind_direction: str | None = Field("wdir", description="column of where the wind comes FROM, degrees from north")
    within_km: Positive = Field(25.0, description="a place takes the nearest weather station that is not farther")


class CovariatesConfig(_Strict):
    """Which fields are used and how they come to the hours and places of a run."""

    fields: list[str] | None = Field(
        None, description="fields to use, in this order; null: all known ones in the files"
    )
    accumulation: Literal["auto", "hourly", "from-start"] = Field(
        "auto", description="what an accumulated field holds where its file does not tell (ERA5-Land: from-start)"
    )
    max_step_hours: Annotated[int, Field(ge=1, le=24)] = Field(
        3, description="instants up to this far apart are interpolated in time, sums up to this long spread evenly"
    )
    static: dict[str, StaticConfig] = Field(
        default_factory=dict, description="name of a raster -> how it is sampled; others: mean over 2 km"
    )
    weather_table: WeatherTableConfig = Field(default_factory=WeatherTableConfig)
    skip_broken: bool = Field(False, description="leave unreadable files out and say so, instead of stopping")
