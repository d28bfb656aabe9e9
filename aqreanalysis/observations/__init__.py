"""Station files in, one validated xarray Dataset (time, station) out."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.observations.dataset import Observations, window
    from aqreanalysis.observations.flags import FLAG_MEANINGS, USABLE, Flag
    from aqreanalysis.observations.formats.registry import list_formats
    from aqreanalysis.observations.inspect import check_observations
    from aqreanalysis.observations.places import StationPlaces
    from aqreanalysis.observations.readers import ReadOptions, import_observations, read_observations
    from aqreanalysis.observations.report import QualityReport
    from aqreanalysis.observations.tables import from_frame

__all__ = [
    "FLAG_MEANINGS",
    "USABLE",
    "Flag",
    "Observations",
    "QualityReport",
    "ReadOptions",
    "StationPlaces",
    "check_observations",
    "from_frame",
    "import_observations",
    "list_formats",
    "read_observations",
    "window",
]

# On demand: whether a file of records is there is said before pandas is loaded.
__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "dataset": ("Observations", "window"),
        "flags": ("FLAG_MEANINGS", "USABLE", "Flag"),
        "formats.registry": ("list_formats",),
        "inspect": ("check_observations",),
        "places": ("StationPlaces",),
        "readers": ("ReadOptions", "import_observations", "read_observations"),
        "report": ("QualityReport",),
        "tables": ("from_frame",),
    },
)
