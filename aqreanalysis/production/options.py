"""What `produce` can be told beyond its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aqreanalysis.common.hours import STAMPS
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import ColumnsConfig, MetadataConfig, ProductionConfig
from aqreanalysis.errors import ConfigError
from aqreanalysis.production.layers import ADDED_LAYERS
from aqreanalysis.production.plan.timeline import HOURLY, check_frequencies
from aqreanalysis.species import get_species

if TYPE_CHECKING:
    from aqreanalysis.model.distribution.external_drift import StaticSource
    from aqreanalysis.model.network.scaling import FieldSource, Paths

# How NetCDF cubes are cut into files.
SPLITS = ("none", "month", "year")


@dataclass(frozen=True)
class ProduceOptions:
    """Options of `produce`, checked where they are built.

    Attributes
    ----------
    production : ProductionConfig or None
        Blocks and flags; None takes those of the model's config.
    metadata : MetadataConfig or None
        Discovery attributes; None takes those of the model's config.
    columns : ColumnsConfig or None
        How to read the observations, where they are given as a path.
    species : sequence of str or None
        Pollutants wanted; None takes all that the model estimates.
    thresholds : mapping
        Pollutant -> concentrations (in its units) for which the probability of exceedance is wanted.
    workers : int or None
        Worker processes on this machine; None computes in threads of this process.
    scheduler : str or None
        Address of a running Dask scheduler, ``tcp://host:8786``; excludes `workers`.
    threads : int or None
        Threads where no processes are asked for; None takes the processors of this machine.
    device : str
        ``auto``, ``cpu`` or ``cuda``, for a model given as a path.
    zarr_format : int
        2 or 3.
    shards : bool
        Of Zarr 3: a file holds the chunks of a whole block, instead of one each.
    split : str
        ``month`` or ``year``: a NetCDF file each; ``none``: one file.
    frequencies : sequence of str
        ``hourly``, ``daily``, ``monthly``, ``annual``: a cube each.
    layers : sequence of str
        Layers of hours beside those of every cube: ``mean``, the expectation, where the estimate is the median.
    stamp : str
        Where in its period a step is stamped: ``middle``, ``start`` or ``end``; the bounds say all of it.
    utc_offset_hours : int
        Days, months and years of means begin at midnight of the clock that is so far ahead of UTC, -12 to 14.
    overwrite : bool
        Replace an output that exists, or drop an unfinished run of another kind.
    repair : bool
        Compute anew what of the cube that is there is damaged, and nothing else: an append that adds no hour.
    append : bool
        Grow the cube that is there: add hours at its end, and compute anew those whose windows have gained readings.
    say : callable or None
        ``say(line)`` is told for people what an append does.
    covariates : FieldSource, paths or None
        Of a model that was trained with them, where it is given as a path.
    static : StaticSource, paths or None
        Of a model whose drift reads them, where it is given as a path.
    progress : callable or None
        ``progress(done, total, note)``.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> aq.ProduceOptions(frequencies=("hourly", "daily"), thresholds={"pm25": [75.0]}).stamp
    'middle'
    """

    production: ProductionConfig | None = None
    metadata: MetadataConfig | None = None
    columns: ColumnsConfig | None = None
    species: Sequence[str] | None = None
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None
    device: str = "auto"
    zarr_format: int = 2
    shards: bool = False
    split: str = "none"
    frequencies: Sequence[str] = (HOURLY,)
    layers: Sequence[str] = ()
    stamp: str = "middle"
    utc_offset_hours: int = 0
    overwrite: bool = False
    append: bool = False
    repair: bool = False
    say: Callable[[str], None] | None = None
    covariates: FieldSource | Paths | None = None
    static: StaticSource | Paths | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise ConfigError(f"workers {self.workers} and scheduler {self.scheduler} exclude each other; give one")
        for name, count in (("workers", self.workers), ("threads", self.threads)):
            if count is not None and count < 1:
                raise ConfigError(f"{name} = {count}: give at least 1")
        if self.repair and self.overwrite:
            raise ConfigError(
                "repair and overwrite exclude each other: one changes damaged blocks alone, the other all"
            )
        if self.repair:
            object.__setattr__(self, "append", True)
        if self.zarr_format not in (2, 3):
            raise ConfigError(f"zarr_format = {self.zarr_format}: give 2 or 3")
        if self.shards and self.zarr_format != 3:
            raise ConfigError("shards are of Zarr format 3: give zarr_format 3 with them")
        if self.stamp not in STAMPS:
            raise ConfigError(f"stamp {self.stamp!r}: give {', '.join(STAMPS)}")
        if self.split not in SPLITS:
            raise ConfigError(f"split {self.split!r}: give {', '.join(SPLITS)}")
        check_frequencies(self.frequencies)
        for name in self.layers:
            if name not in ADDED_LAYERS:
                raise ConfigError(f"layer {name!r} cannot be added: give {', '.join(ADDED_LAYERS)}")
        if self.layers and HOURLY not in self.frequencies:
            raise ConfigError(
                f"layer {self.layers[0]} is one of hours, and the estimate of a {self.frequencies[0]} cube is the "
                "expectation already: leave it out, or ask for frequency hourly too"
            )
        if not -12 <= self.utc_offset_hours <= 14:
            raise ConfigError(f"utc_offset_hours = {self.utc_offset_hours}: clocks are -12 to 14 hours ahead of UTC")
        for key, values in self.thresholds.items():
            get_species(key)
            for value in values:
                if not value > 0:
                    raise ConfigError(f"threshold of {key} = {value}: give a concentration above 0")
