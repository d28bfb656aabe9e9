"""What can be configured, with its units, its range and its default. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
# Of a part of a network: a bundle of a stranger may ask for no more memory than any model needs.
Width = Annotated[int, Field(ge=1, le=1024)]
Members = Annotated[int, Field(ge=1, le=999)]

# Every test of quality control, in the order in which they run; see aqreanalysis/observations/quality.py.
QualityTest = Literal[
    "negative",
    "above_plausible_range",
    "stuck",
    "missing_code",
    "spike_in_time",
    "spike_against_neighbours",
    "pm25_above_pm10",
    "step_change",
    "too_little_data",
    "below_detection_limit",
]
DEFAULT_TESTS: tuple[QualityTest, ...] = ("negative", "above_plausible_range", "stuck", "missing_code", "spike_in_time")


class StrictModel(BaseModel):
    """A section that refuses unknown keys and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StationPlaceConfig(StrictModel):
    """The one station of a file that has no column of stations."""

    station: str = Field(..., description="its id")
    lat: Annotated[float, Field(ge=-90.0, le=90.0)] | None = Field(None, description="degrees; null: a station list")
    lon: Annotated[float, Field(ge=-180.0, le=360.0)] | None = Field(None, description="degrees; null: a station list")


class ColumnsConfig(StrictModel):
    """Names of the columns of a station table, how its clock is to be read, and what is done with its oddities."""

    station: str = Field("station_id", description="column of the station id")
    time: str | list[str] = Field("time", description="column of the time, or those that make it: [date, hour]")
    lat: str = Field("lat", description="column of the latitude, degrees north")
    lon: str = Field("lon", description="column of the longitude, degrees east")
    city: str | None = Field(
        None, description="column of the town that a station belongs to; null: towns are told by distance"
    )
    kind: str | None = Field(
        None, description="column of a station's kind: background, traffic, industrial; null: by its usual names"
    )
    network: str | None = Field(
        None, description="column of the network that a station is of; null: by its usual names"
    )
    species: dict[str, str] = Field(default_factory=dict, description="pollutant key -> column; others by their key")
    units: dict[str, str] = Field(
        default_factory=dict, description="pollutant -> its unit, whatever the file says: ug m-3, mg m-3, ppb, ppm ..."
    )
    flags: dict[str, str] = Field(default_factory=dict, description="pollutant -> the column that flags its readings")
    parameter: str | None = Field(
        None, description="narrow tables: column that names the pollutant; null: by its usual names"
    )
    codes: Literal["aqs", "eea", "madrid", "uba"] | dict[str | int, str] | None = Field(
        None,
        description="narrow tables: what is written for a pollutant -> its key, {5: pm10, 8: no2}, or whose list of "
        "numbers it is; null: names, numbers of AQS, addresses of the EEA",
    )
    value: str | None = Field(None, description="narrow tables: column of readings; null: by its usual names")
    unit: str | None = Field(None, description="narrow tables: column of units; null: by its usual names")
    flag: str | None = Field(None, description="narrow tables: column of flags; null: by its usual names")
    good_flags: list[str | int | float] | None = Field(
        None,
        description="flags that leave a reading usable, ['*'] for all; null: the usual words (valid, ok ...)",
    )
    missing: list[str | int | float] = Field(
        default_factory=list, description="codes of missing readings beside the usual texts: [9999, 99.9, Abbkz]"
    )
    skip_lines: Annotated[int, Field(ge=0)] = Field(0, description="lines of a text before its header")
    place: StationPlaceConfig | None = Field(
        None, description="the one station of files without a column of stations: {station: A, lat: 51.5, lon: -0.1}"
    )
    time_format: str | None = Field(
        None,
        description="how stamps are written: a strptime pattern, day-first, month-first, epoch (seconds) or epoch-ms; "
        "null: the format's own, ISO 8601 for tables",
    )
    time_zone: str | None = Field(
        None,
        description="clock of the time column: UTC, an IANA name or +HH:MM; null: the format's own, UTC for tables",
    )
    stamp: Literal["end", "start"] | None = Field(
        None, description="which end of the averaging period is stamped; null: the format's own, end for tables"
    )
    correction: Literal["barkjohn", "none"] | None = Field(
        None,
        description="PurpleAir: correction for humidity, barkjohn (Barkjohn et al. 2021) or none; null: barkjohn where "
        "the file has what it takes",
    )
    check_clock: bool = Field(True, description="refuse records whose ozone does not peak in the solar afternoon")
    encoding: str | None = Field(None, description="encoding of text files; null: UTF-8, or told by the format")
    completeness: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.75, description="share of an hour that shorter averages must cover; an hour with less is flagged"
    )
    temperature_celsius: Annotated[float, Field(ge=-40.0, le=60.0)] | None = Field(
        None,
        description="temperature at which ppb and ppm become mass; null: the network's own, 25 for formats of the US "
        "EPA, else the EU's 20; China's is 25",
    )
    pressure_hpa: Annotated[float, Field(ge=300.0, le=1100.0)] = Field(
        1013.25, description="pressure at which ppb and ppm become mass"
    )
    repeats: Literal["refuse", "last", "first", "mean"] | None = Field(
        None, description="rows of one station-hour that differ; null: the format's own, refuse for tables"
    )
    moved_stations: Literal["refuse", "split"] | None = Field(
        None, description="a station id at several places: refuse, or one station a place; null: the format's own"
    )
    rename: dict[str, str] = Field(default_factory=dict, description="station id -> the id it continues")

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns that make a stamp, joined by a blank."""
        return (self.time,) if isinstance(self.time, str) else tuple(self.time)


class QualityConfig(StrictModel):
    """Which tests of quality control run, and their thresholds where they differ from the built-in ones."""

    tests: tuple[QualityTest, ...] = Field(DEFAULT_TESTS, description="in any order; they run in the built-in one")
    limits: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="pollutant key -> threshold -> value, for example pm25.stuck_hours=24"
    )


class StaticConfig(StrictModel):
    """How one raster becomes a number, or several, at a place."""

    method: Literal["bilinear", "mean", "fractions"] = Field(
        "mean", description="value at the point, mean over the window, or the share of the window in each class"
    )
    window_km: Positive | list[Positive] = Field(
        2.0, description="width of the window around a station or a cell's centre; of a list each gives NAME_2km, ..."
    )
    classes: dict[str, list[int]] | None = Field(
        None, description="for fractions: name of a class -> the values of the raster that belong to it"
    )
    missing: list[float] | None = Field(
        None, description="values that mean none, beside what the file declares; null: the usual codes are looked for"
    )
    valid_range: tuple[float, float] | None = Field(
        None, description="lowest and highest value that can be; what lies outside is missing"
    )

    @model_validator(mode="after")
    def _classes_and_fractions_go_together(self) -> StaticConfig:
        if (self.method == "fractions") != (self.classes is not None):
            raise ValueError("method 'fractions' needs classes, and only it: {urban: [50], forest: [10, 20]}")
        if self.classes is not None and not all(self.classes.values()):
            raise ValueError("a class without values: give each at least one value of the raster")
        return self

    @model_validator(mode="after")
    def _several_windows_are_of_means(self) -> StaticConfig:
        if isinstance(self.window_km, list):
            if self.method != "mean":
                raise ValueError(f"several windows are of method 'mean', not {self.method!r}: give one window_km")
            if not self.window_km or len(set(self.window_km)) < len(self.window_km):
                raise ValueError("window_km: give each width once, for example [2, 20]")
        return self

    @model_validator(mode="after")
    def _a_range_goes_up(self) -> StaticConfig:
        if self.valid_range is not None and not self.valid_range[0] < self.valid_range[1]:
            raise ValueError("valid_range: the lowest value, then the highest")
        return self


class WeatherTableConfig(StrictModel):
    """Columns of a table of weather at stations; its times are UTC, stamped at the END of the hour."""

    station: str = Field("station_id", description="column of the weather station")
    time: str = Field("time", description="column of the time")
    lat: str = Field("lat", description="column of the latitude, degrees north")
    lon: str = Field("lon", description="column of the longitude, degrees east")
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


class CovariatesConfig(StrictModel):
    """Which fields are used and how they come to the hours and places of a run."""

    fields: list[str] | None = Field(
        None, description="fields to use, in this order; null: all known ones in the files"
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="field -> what NetCDF files call it, where that is no usual name: t2m: 2m_temperature",
    )
    member: Annotated[int, Field(ge=0)] | None = Field(
        None, description="member of an ensemble; null: the control of GRIB files, and of NetCDF files the only one"
    )
    levels: dict[str, float] = Field(
        default_factory=dict,
        description="field -> its level, in the file's numbers (pm25_background: 50); null: the one nearest the ground",
    )
    wind_along_grid: bool | None = Field(
        None,
        description="of a grid that is not of latitudes and longitudes: whether its winds are along the grid and are "
        "turned to east and north; null: as the file says",
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
    upwind: list[str] | None = Field(
        None,
        description="rasters of sources (people, roads, works): what the wind brings of them is a field too, "
        "NAME_upwind, and so is the rain that the air went through, washout; null: those that hold hardly anything at "
        "most places, where wind and boundary layer are given; []: none of all this",
    )
    weather_table: WeatherTableConfig = Field(default_factory=WeatherTableConfig)
    skip_broken: bool = Field(False, description="leave unreadable files out and say so, instead of stopping")


class DriftFieldConfig(StrictModel):
    """How one static field enters the external drift."""

    windows_km: list[Positive] | None = Field(None, description="null: those of drift.windows_km")
    transform: Literal["both", "log", "linear"] = Field(
        "both", description="what is made of each mean: log(1 + x / a tenth of its usual size), x itself, or both"
    )
    column: str | None = Field(None, description="of a table: the strength; null: rows are counted. NetCDF: a variable")
    where: dict[str, str | bool | float | list[str | bool | float]] = Field(
        default_factory=dict, description="of a table: column -> the value, or values, of the rows that count"
    )
    missing: list[float] | None = Field(
        None, description="of a raster: values that mean none; null: the usual codes are looked for"
    )
    valid_range: tuple[float, float] | None = Field(
        None, description="of a raster: lowest and highest value that can be; what lies outside is missing"
    )


class DriftConfig(StrictModel):
    """Static fields of the external drift: rasters and tables of points, given with --static."""

    windows_km: list[Positive] = Field(
        [1.0, 5.0, 20.0, 80.0],
        min_length=1,
        description="widths of the squares over which a raster is averaged, distances within which points count",
    )
    fields: dict[str, DriftFieldConfig] = Field(
        default_factory=dict, description="name of a field -> how it enters; others: as these are by default"
    )


class SplitConfig(StrictModel):
    """What training never sees. Roles are drawn by station and by hour, from one seed."""

    seed: int = Field(0, description="of the draw")
    hidden_stations: Fraction = Field(0.1, description="share of stations hidden at random (protocol hidden-tenth)")
    hidden_cities: Fraction = Field(0.1, description="share of stations hidden as whole cities (leave-city-out)")
    calibration_stations: Fraction = Field(0.1, description="share kept for early stopping and calibration")
    unseen_time: Fraction = Field(0.2, description="last share of the timeline that training does not see")
    cluster_km: Positive = Field(25.0, description="stations nearer than this form one city where none is named")


class WindowConfig(StrictModel):
    """Hours that the temporal encoder reads around each UTC day (windows are anchored to absolute days)."""

    history_hours: Annotated[int, Field(ge=0, le=720)] = Field(24, description="hours before the day")
    lookahead_hours: Annotated[int, Field(ge=0, le=240)] = Field(24, description="hours after the day")


class ModelConfig(StrictModel):
    """Sizes of the parts of AQ-Net."""

    neighbours: Annotated[int, Field(ge=2, le=128)] = Field(40, description="stations that a place reads")
    short_range_km: Positive | None = Field(
        None,
        description="near range that covariance models start from; null, and the far one: fitted to the record",
    )
    long_range_km: Positive | None = Field(
        None, description="far range that the covariance models start from, about 800; the near one is about 50"
    )
    kernels: Width = Field(6, description="covariance models whose kriging-like weights the neural kNN mixes")
    state_width: Width = Field(32, description="width of the encoder's state")
    attention_heads: Width = Field(4, description="heads of its self-attention")
    channels: Width = Field(6, description="learned station values that are interpolated beside the pollutant")
    head_width: Width = Field(48, description="width of the head")
    dropout: Fraction = Field(0.1, description="share of states dropped in training")
    geography: bool = Field(True, description="take off readings, and add to estimates, what height and population say")
    crowding: bool = Field(
        True,
        description="take off readings, and add to estimates, what it says of a place how close stations stand round "
        "it, where that tells much; a model with covariates knows it better and has none",
    )
    wind_lags_hours: list[Annotated[int, Field(ge=-12, le=12)]] = Field(
        [-3, -1, 0, 1, 3],
        description="with wind as a covariate: hours back along it whose readings are kriged too; below zero, ahead",
    )


class TrainingConfig(StrictModel):
    """The loop of training: epochs, steps, rates, limits."""

    seed: int = Field(0, description="of weights and draws")
    epochs: Count = Field(12, description="rounds through the timeline")
    steps_per_epoch: Count | None = Field(
        None, description="batches an epoch; null: each day of the timeline once, a hundred batches at most"
    )
    days_per_batch: Count = Field(2, description="UTC days of one step")
    members: Members = Field(1, description="networks trained apart; their disagreement widens the intervals")
    masks_per_batch: Count = Field(2, description="ways in which the stations of a batch are hidden, encoded once")
    learning_rate: Positive = Field(2e-3, description="of AdamW, at its highest")
    weight_decay: Annotated[float, Field(ge=0)] = Field(1e-4, description="of AdamW")
    patience: Count = Field(12, description="epochs without a better score at the calibration stations before stopping")
    max_minutes: Positive | None = Field(None, description="wall-clock limit; the best weights so far are kept")
    threads: Count = Field(
        1, description="of the processor; more gain little, and cost much where others compute on the same cores"
    )
    mask_readings: Fraction = Field(0.1, description="share of single readings masked")
    mask_runs: Fraction = Field(0.1, description="share of station-windows with a run of hours masked")
    mask_fields: Fraction = Field(0.05, description="share of windows in which a covariate is missing everywhere")
    forecast_share: Fraction = Field(0.1, description="share of windows whose last hours are masked at every station")
    neighbourhood_share: Fraction = Field(0.5, description="share of targets whose whole neighbourhood is left out")
    neighbourhood_km: Positive = Field(120.0, description="largest radius of a neighbourhood left out")
    place_weights: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description="0: every station counts the same; 1: stations within split.cluster_km of each other share a vote, "
        "as is right where cells are asked for and towns hold most stations; between: that power",
    )
    mixed_precision: bool = Field(True, description="bfloat16 on CUDA; no effect on the CPU")


class ForecastConfig(StrictModel):
    """The long forecast: whole days of history in, whole days ahead out, at stations and at places without one."""

    history_hours: Annotated[int, Field(ge=48, le=1440, multiple_of=24)] = Field(
        336, description="hours read before the forecast"
    )
    lead_hours: Annotated[int, Field(ge=24, le=384, multiple_of=24)] = Field(168, description="hours forecast")
    patch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(12, description="hours read as one step of the encoder")
    neighbours: Annotated[int, Field(ge=2, le=128)] = Field(24, description="stations that a place reads")
    kernels: Width = Field(2, description="covariance models of the neural kNN that say what the neighbours have")
    state_width: Width = Field(32, description="width of the encoder's state")
    attention_heads: Width = Field(4, description="heads of its self-attention")
    head_width: Width = Field(32, description="width of the head")
    dropout: Fraction = Field(0.2, description="share of states dropped in training")
    members: Members = Field(2, description="networks whose forecasts are averaged; each stops on other weeks")
    steps: Count = Field(100, description="most training steps of a member")
    validate_every: Count = Field(50, description="steps between two looks at the weeks held out")
    patience: Count = Field(2, description="looks without a better score before a member stops")
    sequences_per_batch: Count = Field(128, description="windows times stations of one training step")
    learning_rate: Positive = Field(1e-3, description="of AdamW, at its highest")
    weight_decay: Annotated[float, Field(ge=0)] = Field(1e-2, description="of AdamW")
    hide_share: Fraction = Field(0.25, description="share of stations hidden from the network in each training window")
    level_shift: Annotated[float, Field(ge=0)] = Field(
        0.2, description="standard deviation, in standardised logs, of the random shift of a training window's level"
    )
    max_minutes: Positive | None = Field(None, description="wall-clock limit of all members; the best so far are kept")


class UncertaintyConfig(StrictModel):
    """The interval that a cube carries."""

    coverage: Annotated[float, Field(gt=0.0, le=0.99)] = Field(
        0.9, description="share of readings that the interval is to hold"
    )


class ProductionConfig(StrictModel):
    """Blocks and chunks of the sweep."""

    block_days: Count = Field(7, description="whole UTC days a time block")
    tile_rows: Count = Field(64, description="grid rows a tile")
    tile_columns: Count = Field(64, description="grid columns a tile")
    compression_level: Annotated[int, Field(ge=0, le=9)] = Field(1, description="of the cube's chunks; 0: none")
    keepbits: Annotated[int, Field(ge=0, le=22)] = Field(
        9, description="bits of the mantissa that float layers are rounded to (BitRound); 0 keeps them all"
    )
    extrapolation_km: Positive | None = Field(
        None,
        description="cells farther than this from every station that reports are flagged; null: as far as the "
        "pollutant's intervals were calibrated",
    )
    blank_beyond_km: Positive | None = Field(
        None, description="cells farther than this from every station that reports are left blank; null: none"
    )
    few_neighbours: Count = Field(4, description="hours observed by fewer neighbours than this are flagged")
    max_distance_km: Positive = Field(500.0, description="a grid with no cell nearer than this to a station is refused")


class MetadataConfig(StrictModel):
    """Discovery attributes of the cube (ACDD-1.3). What is unset is left out, never invented."""

    title: str | None = Field(None, description="global attribute title")
    summary: str | None = Field(None, description="global attribute summary")
    institution: str | None = Field(None, description="global attribute institution")
    creator_name: str | None = Field(None, description="global attribute creator_name")
    creator_email: str | None = Field(None, description="global attribute creator_email")
    creator_url: str | None = Field(None, description="global attribute creator_url")
    publisher_name: str | None = Field(None, description="global attribute publisher_name")
    publisher_email: str | None = Field(None, description="global attribute publisher_email")
    publisher_url: str | None = Field(None, description="global attribute publisher_url")
    project: str | None = Field(None, description="global attribute project")
    license: str | None = Field(None, description="global attribute license")
    references: str | None = Field(None, description="global attribute references")
    comment: str | None = Field(None, description="global attribute comment")
    id: str | None = Field(None, description="global attribute id")
    product_version: str | None = Field(None, description="global attribute product_version")
    naming_authority: str | None = Field(None, description="global attribute naming_authority")
    acknowledgement: str | None = Field(None, description="global attribute acknowledgement")


class Config(StrictModel):
    """Everything that a run can be told, and the digestible description of it in a bundle.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> config = aq.load_config("aqnet", ["species=[pm25, o3]"])
    >>> config.species, config.uncertainty.coverage
    (['pm25', 'o3'], 0.9)
    """

    species: list[str] = Field(default_factory=lambda: ["pm25"], description="pollutants to estimate")
    inputs: list[str] | None = Field(None, description="pollutants to read; null: all in the observations")
    columns: ColumnsConfig = Field(default_factory=ColumnsConfig)
    quality: QualityConfig = Field(default_factory=QualityConfig)
    covariates: CovariatesConfig = Field(default_factory=CovariatesConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)
    split: SplitConfig = Field(default_factory=SplitConfig)
    window: WindowConfig = Field(default_factory=WindowConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    forecast: ForecastConfig | None = Field(None, description="set: the long forecast is trained, not the analysis")
    uncertainty: UncertaintyConfig = Field(default_factory=UncertaintyConfig)
    production: ProductionConfig = Field(default_factory=ProductionConfig)
    metadata: MetadataConfig = Field(default_factory=MetadataConfig)

    @property
    def reach(self) -> tuple[int, int]:
        """Hours before and after the UTC days of a timeline whose readings its estimates may be made from.

        A forecast reads what lies before the last reading, which may be as far before the timeline's end as it looks
        ahead.
        """
        if self.forecast is None:
            return self.window.history_hours, self.window.lookahead_hours
        return self.forecast.history_hours + self.forecast.lead_hours, 0
