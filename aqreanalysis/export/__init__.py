"""A cube in the forms that others work with: rasters, tables, statistics, weather tools' files, a catalogue entry."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.export.aggregation import AggregateOptions, aggregate
    from aqreanalysis.export.cog import CogOptions, export_cogs
    from aqreanalysis.export.exceedance import Limit
    from aqreanalysis.export.grib2 import export_grib
    from aqreanalysis.export.netcdf_files import export_netcdf
    from aqreanalysis.export.place_files import Places, read_places
    from aqreanalysis.export.points import TableReport, export_points
    from aqreanalysis.export.polygons import PolygonOptions, export_polygons
    from aqreanalysis.export.source import CubeSource, TimeSpan
    from aqreanalysis.export.stac import export_stac
    from aqreanalysis.export.stac_collection import export_stac_collection
    from aqreanalysis.export.statistic_rasters import export_statistic_cogs

__all__ = [
    "AggregateOptions",
    "CogOptions",
    "CubeSource",
    "Limit",
    "Places",
    "PolygonOptions",
    "TableReport",
    "TimeSpan",
    "aggregate",
    "export_cogs",
    "export_grib",
    "export_netcdf",
    "export_points",
    "export_polygons",
    "export_stac",
    "export_stac_collection",
    "export_statistic_cogs",
    "read_places",
]

__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "aggregation": ("AggregateOptions", "aggregate"),
        "cog": ("CogOptions", "export_cogs"),
        "exceedance": ("Limit",),
        "grib2": ("export_grib",),
        "netcdf_files": ("export_netcdf",),
        "place_files": ("Places", "read_places"),
        "points": ("TableReport", "export_points"),
        "polygons": ("PolygonOptions", "export_polygons"),
        "source": ("CubeSource", "TimeSpan"),
        "stac": ("export_stac",),
        "stac_collection": ("export_stac_collection",),
        "statistic_rasters": ("export_statistic_cogs",),
    },
)
