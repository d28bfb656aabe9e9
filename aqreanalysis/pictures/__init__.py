"""Pictures of a cube for people: maps, animations, time series, a page that opens in any browser, styles for GIS."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.pictures.animation import Film, animate
    from aqreanalysis.pictures.gis_styles import write_companions
    from aqreanalysis.pictures.maps import MapOptions, draw_map
    from aqreanalysis.pictures.page import PageOptions, write_page
    from aqreanalysis.pictures.paper import Paper
    from aqreanalysis.pictures.place_series import SeriesOptions, draw_series
    from aqreanalysis.pictures.stations import StationMarkers, station_markers

__all__ = [
    "Film",
    "MapOptions",
    "PageOptions",
    "Paper",
    "SeriesOptions",
    "StationMarkers",
    "animate",
    "draw_map",
    "draw_series",
    "station_markers",
    "write_companions",
    "write_page",
]

__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "animation": ("Film", "animate"),
        "gis_styles": ("write_companions",),
        "maps": ("MapOptions", "draw_map"),
        "page": ("PageOptions", "write_page"),
        "paper": ("Paper",),
        "place_series": ("SeriesOptions", "draw_series"),
        "stations": ("StationMarkers", "station_markers"),
    },
)
