"""What can be configured, with its units, its range and its default. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from aqreanalysis.configs.covariates import CovariatesConfig
from aqreanalysis.configs.observations import ColumnsConfig, QualityConfig

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitConfig(_Strict):
    """What training never sees. Roles are drawn by station and by hour, from one seed."""

    seed: int = 0
    hidden_stations: Fraction = Field(0.1, description="share of stations hidden at random (protocol hidden-tenth)")
    hidden_cities: Fraction = Field(0.1, description="share of stations hidden as whole cities (leave-city-out)")
    calibration_stations: Fraction = Field(0.1, description="share kept for early stopping and calibration")
    unseen_time: Fraction = Field(0.2, description="last share of the timeline that training does not see")
    cluster_km: Positive = Field(25.0, description="stations nearer than this form one city where none is named")


class WindowConfig(_Strict):
    """Hours that the temporal encoder reads around each UTC day (windows are anchored to absolute days)."""

    history_hours: Annotated[int, Field(ge=0, le=720)] = 24
    lookahead_hours: Annotated[int, Field(ge=0, le=240)] = 24


class ModelConfig(_Strict):
    """Size of AQ-Net."""

    neighbours: Annotated[int, Field(ge=2, le=128)] = 40
    short_range_km: Positive = Field(50.0, description="range that the covariance models start from, near part")
    long_range_km: Positive = Field(800.0, description="range that the covariance models start from, far part")
    kernels: Count = Field(6, description="covariance models whose kriging-like weights the neural kNN mixes")
    state_width: Count = 32
    attention_heads: Count = 4
    channels: Count = Field(6, description="learned station values that are interpolated beside the pollutant")
    head_width: Count = 48
    dropout: Fraction = 0.1
    geography: bool = Field(True, description="take off readings, and add to estimates, what height and population say")
    wind_lags_hours: list[Annotated[int, Field(ge=-12, le=12)]] = Field(
        [-3, -1, 0, 1, 3],
        description="with wind as a covariate: hours back along it whose readings are kriged too; below zero, ahead",
    )


class TrainingConfig(_Strict):
    """The loop."""

    seed: int = 0
    epochs: Count = 12
    steps_per_epoch: Count | None = Field(None, description="batches an epoch; null: each day of the timeline once")
    days_per_batch: Count = 2
    members: Count = Field(1, description="networks trained apart; their disagreement widens the intervals")
    masks_per_batch: Count = Field(2, description="ways in which the stations of a batch are hidden, encoded once")
    learning_rate: Positive = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    patience: Count = Field(12, description="epochs without a better score at the calibration stations before stopping")
    max_minutes: Positive | None = Field(None, description="wall-clock limit; the best weights so far are kept")
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


class ForecastConfig(_Strict):
    """The long forecast: whole days of history in, whole days ahead out, at stations and at places without one."""

    history_hours: Annotated[int, Field(ge=48, le=1440, multiple_of=24)] = 336
    lead_hours: Annotated[int, Field(ge=24, le=384, multiple_of=24)] = 168
    patch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(12, description="hours read as one step of the encoder")
    neighbours: Annotated[int, Field(ge=2, le=128)] = 24
    kernels: Count = Field(2, description="covariance models of the neural kNN that say what the neighbours have")
    state_width: Count = 32
    attention_heads: Count = 4
    head_width: Count = 32
    dropout: Fraction = 0.2
    members: Count = Field(2, description="networks whose forecasts are averaged; each stops on other weeks")
    steps: Count = Field(100, description="most training steps of a member")
    validate_every: Count = Field(50, description="steps between two looks at the weeks held out")
    patience: Count = Field(2, description="looks without a better score before a member stops")
    sequences_per_batch: Count = Field(128, description="windows times stations of one training step")
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    hide_share: Fraction = Field(0.25, description="share of stations hidden from the network in each training window")
    level_shift: Annotated[float, Field(ge=0)] = Field(
        0.2, description="standard deviation, in standardised logs, of the random shift of a training window's level"
    )
    max_minutes: Positive | None = Field(None, description="wall-clock limit of all members; the best so far are kept")


class UncertaintyConfig(_Strict):
    """The interval that a cube carries."""

    coverage: Annotated[float, Field(gt=0.0, le=0.99)] = 0.9


class ProductionConfig(_Strict):
    """Blocks and chunks of the sweep."""

    block_days: Count = Field(7, description="whole UTC days a time block")
    tile_rows: Count = Field(64, description="grid rows a tile")
    tile_columns: Count = Field(64, description="grid columns a tile")
    compression_level: Annotated[int, Field(ge=0, le=9)] = 1
    extrapolation_km: Positive = Field(50.0, description="cells farther than this from every station are flagged")
    few_neighbours: Count = Field(4, description="hours observed by fewer neighbours than this are flagged")
    max_distance_km: Positive = Field(500.0, description="a grid with no cell nearer than this to a station is refused")


class MetadataConfig(_Strict):
    """Discovery attributes of the cube (ACDD-1.3). What is unset is left out, never invented."""

    title: str | None = None
    summary: str | None = None
    institution: str | None = None
    creator_name: str | None = None
    creator_email: str | None = None
    creator_url: str | None = None
    publisher_name: str | None = None
    publisher_email: str | None = None
    publisher_url: str | None = None
    project: str | None = None
    license: str | None = None
    references: str | None = None
    comment: str | None = None
    id: str | None = None
    naming_authority: str | None = None
    acknowledgement: str | None = None


class Config(_Strict):
    """Everything that a run can be told, and the digestible description of it in a bundle."""

    species: list[str] = Field(default_factory=lambda: ["pm25"], description="pollutants to estimate")
    inputs: list[str] | None = Field(None, description="pollutants to read; null: all in the observations")
    columns: ColumnsConfig = Field(default_factory=ColumnsConfig)
    quality: QualityConfig = Field(default_factory=QualityConfig)
    covariates: CovariatesConfig = Field(default_factory=CovariatesConfig)
    split: SplitConfig = Field(default_factory=SplitConfig)
    window: WindowConfig = Field(default_factory=WindowConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    forecast: ForecastConfig | None = Field(None, description="set: the long forecast is trained, not the analysis")
    uncertainty: UncertaintyConfig = Field(default_factory=UncertaintyConfig)
    production: ProductionConfig = Field(default_factory=ProductionConfig)
    metadata: MetadataConfig = Field(default_factory=MetadataConfig)
