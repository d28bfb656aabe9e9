"""Station files in, one validated xarray Dataset (time, station) out."""

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
