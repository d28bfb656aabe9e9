"""Cloud-optimised GeoTIFFs: a file a step or a period, one band a layer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from aqreanalysis.common.hours import stamped
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export.aqi_scales import Index, index_of
from aqreanalysis.export.class_rasters import write_classes
from aqreanalysis.export.files import whole_folder
from aqreanalysis.export.periods import MIN_SHARE, PERIODS, Period, periods_of
from aqreanalysis.export.rasters import METHODS, RasterFrame, Tags, Warp, frame_in, frame_of, write_raster
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.derived_layers import INDEX

#: Endings of what is written: a folder that holds nothing else may be replaced.
ENDINGS = (".tif", ".json", ".xml", ".qml")
# Files in hand: enough for the threads, few enough for the memory.
_IN_HAND = 4


@dataclass(frozen=True)
class CogOptions:
    """How COGs are written.

    Attributes
    ----------
    period : str
        ``step`` (a file a step of the cube), or ``day``, ``month``, ``year``: a file a period, with the mean of the
        period's steps, bounded as `aqreanalysis.export.means` says.
    epsg : int or None
        System to reproject to; None keeps WGS 84 and the cube's cells.
    resampling : str
        ``nearest``, ``bilinear`` or ``average``, for a reprojection.
    threads : int
        Files written at the same time.
    overwrite : bool
        Replace the files of an earlier export.
    """

    period: str = "step"
    epsg: int | None = None
    resampling: str = "bilinear"
    threads: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.period not in ("step", *PERIODS):
            raise OutputError(f"period {self.period!r}: give step, {', '.join(PERIODS)}")
        if self.resampling not in METHODS:
            raise OutputError(f"resampling {self.resampling!r}: give {', '.join(METHODS)}")


def export_cogs(
    source: CubeSource, out: str | Path, options: CogOptions | None = None, progress: Progress | None = None
) -> list[Path]:
    """Return the paths of the COGs written into the folder `out`, one a step or period, in their order.

    Each is float32 with nodata -9999, north-up; a band's description is the layer's name, its units and what else the
    cube says of it are tags of the band; ``TIFFTAG_DATETIME``, ``time`` and ``time_bounds`` tell the time. Beside each
    file of an air quality index stands one of its classes, see `write_classes`.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the pollutants and hours wanted.
    out : str or Path
        Folder; made if it is not there.
    options : CogOptions, optional
        Periods, reference system, resampling, threads.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        If the folder holds something, or the reference system does not fit.
    """
    options = options or CogOptions()
    own = frame_of(source)
    warp = None if options.epsg is None else Warp(own, frame_in(options.epsg, own), options.resampling)
    names = [*source.layers, *source.maps]
    with (
        warnings.catch_warnings(),
        whole_folder(out, ENDINGS, options.overwrite) as folder,
        ThreadPoolExecutor(options.threads) as pool,
    ):
        # Of arrays that rasterio wraps while it reprojects them: it is told their transform a moment later.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        maps = {name: source.read(name, slice(0, 1)) for name in source.maps}
        job = _Job(source, folder, own, warp, _band_tags(source, names, options.period), maps)
        total = job.count(options.period)
        pending: set[Future[list[Path]]] = set()
        written: list[str] = []
        try:
            for stem, bounds, values in job.steps(options.period):
                pending.add(pool.submit(job.write, stem, bounds, values))
                if len(pending) >= _IN_HAND:
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    written += [path.name for f in finished for path in f.result()]
                    if progress is not None:
                        progress(min(len(written), total), total, "COG")
            written += [path.name for f in pending for path in f.result()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        if progress is not None:
            progress(total, total, "COG")
    return [Path(out) / name for name in sorted(written)]


def _band_tags(source: CubeSource, names: Sequence[str], period: str) -> dict[str, dict[str, str]]:
    """Return what each band says of itself: attributes of the layer as text, references to other layers left out."""
    left_out = ("grid_mapping", "ancillary_variables", "coordinates", "_FillValue")
    tags: dict[str, dict[str, str]] = {}
    for name in names:
        attrs = source.dataset[name].attrs if period == "step" else source.attrs_of_average(name)
        tags[name] = {str(k): _text(v) for k, v in attrs.items() if k not in left_out}
    if period != "step":
        from aqreanalysis.export.means import statistic_text

        for one in source.species.values():
            tags[one.best]["comment"] = statistic_text(one, period)
    return tags


def _text(value: Any) -> str:
    return " ".join(str(x) for x in value.tolist()) if isinstance(value, np.ndarray) else str(value)


@dataclass(frozen=True)
class _Job:
    """What all files of an export share."""

    source: CubeSource
    folder: Path
    own: RasterFrame
    warp: Warp | None
    tags: Mapping[str, dict[str, str]]
    maps: Mapping[str, NDArray[Any]]

    def count(self, period: str) -> int:
        """Return how many files there will be."""
        return len(self.source.times) if period == "step" else len(periods_of(self.source, period, min_share=MIN_SHARE))

    def steps(self, period: str) -> Iterator[tuple[str, NDArray[np.datetime64], dict[str, Any]]]:
        """Yield name, time bounds and the values (lat, lon) of each layer."""
        if period != "step":
            yield from self._periods(period)
            return
        source = self.source
        for slab in source.slabs(len(source.layers)):
            read = {name: source.read(name, slab) for name in source.layers}
            for i in range(slab.stop - slab.start):
                bounds = source.bounds[slab.start + i]
                yield _stem(source, bounds), bounds, {name: values[i] for name, values in read.items()}

    def _periods(self, period: str) -> Iterator[tuple[str, NDArray[np.datetime64], dict[str, Any]]]:
        from aqreanalysis.export.means import period_mean

        for one in periods_of(self.source, period):
            yield _period_stem(self.source, one), one.bounds, period_mean(self.source, one)

    def write(self, stem: str, bounds: NDArray[np.datetime64], values: dict[str, Any]) -> list[Path]:
        """Write the file of a step, and that of the classes of an index; return their paths."""
        values = {**values, **self.maps}
        names = [name for name in self.tags if name in values]
        bands = [self._band(name, values[name]) for name in names]
        frame = self.own if self.warp is None else self.warp.target
        path, tags = self.folder / f"{stem}.tif", _file_tags(self.source, bounds)
        write_raster(path, bands, names, frame, Tags(tags, self.tags))
        written = [path]
        for one in self.source.species.values():
            index = index_of(self.tags[one.best]) if one.kind == INDEX else None
            if index is not None:
                beside = path.with_name(path.name.replace(one.best, f"{one.best}_class", 1))
                write_classes(beside, self._classes(one.best, values[one.best], index), index, frame, tags)
                written.append(beside)
        return written

    def _classes(self, name: str, values: NDArray[Any], index: Index) -> NDArray[np.float32]:
        """Return the class of each pixel, north-up, each that of the nearest cell where it is reprojected."""
        return self._band(name, index.class_of(values).astype(np.float32), {"flag_values": ()})

    def _band(self, name: str, values: NDArray[Any], attrs: Mapping[str, Any] | None = None) -> NDArray[np.float32]:
        upwards = self.source.dataset["lat"].values[0] < self.source.dataset["lat"].values[-1]
        band = np.array(values[::-1] if upwards else values, dtype=np.float32)
        return band if self.warp is None else self.warp(name, attrs or self.source.dataset[name].attrs, band)


def _stem(source: CubeSource, bounds: NDArray[np.datetime64]) -> str:
    """Return ``pm2p5_20190107T0030``, by the stamp; of a day, ``pm2p5_20190107``, by the day itself, also of one that
    local time cuts."""
    keys = "_".join(one.species.layer for one in source.species.values())
    first, last = pd.Timestamp(bounds[0]), pd.Timestamp(bounds[1])
    if last - first >= pd.Timedelta(hours=24):
        return f"{keys}_{first + pd.Timedelta(hours=12):%Y%m%d}"
    return f"{keys}_{pd.Timestamp(stamped(bounds, source.stamp)):%Y%m%dT%H%M}"


def _period_stem(source: CubeSource, period: Period) -> str:
    keys = "_".join(one.species.layer for one in source.species.values())
    return f"{keys}_{period.label}"


def _file_tags(source: CubeSource, bounds: NDArray[np.datetime64]) -> dict[str, str]:
    first, last, stamp = (pd.Timestamp(b) for b in (*bounds, stamped(bounds, source.stamp)))
    wanted = ("title", "source", "history", "license", "model_digest", "observations_digest", "institution", "comment")
    facts = {key: str(source.dataset.attrs[key]) for key in wanted if key in source.dataset.attrs}
    return {
        **facts,
        "time": f"{stamp:%Y-%m-%dT%H:%M:%SZ}",
        "time_bounds": f"{first:%Y-%m-%dT%H:%M:%SZ}/{last:%Y-%m-%dT%H:%M:%SZ}",
        "TIFFTAG_DATETIME": f"{stamp:%Y:%m:%d %H:%M:%S}",
    }
