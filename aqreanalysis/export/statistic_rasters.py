"""Statistics of days straight to GeoTIFFs: an index or a daily maximum of an hourly cube in one step."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from aqreanalysis.common.progress import Progress
from aqreanalysis.export.aggregation import AggregateOptions, aggregate
from aqreanalysis.export.cog import ENDINGS, CogOptions, export_cogs
from aqreanalysis.export.files import check_replaceable
from aqreanalysis.export.source import CubeSource


def export_statistic_cogs(
    source: CubeSource,
    out: str | Path,
    statistic: AggregateOptions,
    options: CogOptions | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Return the paths of the GeoTIFFs of a statistic of a cube: those of `export_cogs` on what `aggregate` makes.

    Of an air quality index there are two files a day: ``aqi_20190107.tif`` with its values and bounds, and
    ``aqi_class_20190107.tif`` with its classes, their colours and names.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the pollutants and hours wanted.
    out : str or Path
        Folder; made if it is not there.
    statistic : AggregateOptions
        What is computed.
    options : CogOptions, optional
        Reference system, resampling, threads.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        If the folder holds something, or the cube cannot give the statistic.
    """
    options = options or CogOptions()
    check_replaceable(Path(out), ENDINGS, options.overwrite)
    with TemporaryDirectory(prefix="aqreanalysis-") as folder:
        made = aggregate(source, Path(folder) / f"{source.path.stem}.nc", statistic, progress)
        with CubeSource(made) as daily:
            return export_cogs(daily, out, options, progress)
