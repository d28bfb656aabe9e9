"""Station files in, one validated xarray Dataset (time, station) out."""

from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.geometry import distance_km
from aqreanalysis.observations.places import Places
from aqreanalysis.observations.quality import FLAG_MEANINGS, Flag
from aqreanalysis.observations.readers import read_observations
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.tables import from_frame
from aqreanalysis.observations.times import hours_since_epoch, times_from_hours
from aqreanalysis.observations.windows import window

__all__ = [
    "FLAG_MEANINGS",
    "Flag",
    "Observations",
    "Places",
    "QualityReport",
    "distance_km",
    "from_frame",
    "hours_since_epoch",
    "read_observations",
    "times_from_hours",
    "window",
]
