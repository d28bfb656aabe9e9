"""AQ-Net as torch modules, its predictive distribution, and the model bundle on disk: tensors, not station files."""

from aqreanalysis.model.aqnet import AQNet, lognormal_crps
from aqreanalysis.model.bundle import NUMERICS, Bundle, read_bundle, write_bundle
from aqreanalysis.model.device import choose_device
from aqreanalysis.model.geometry import find_neighbours
from aqreanalysis.model.predictive import PROBABILITIES, Calibration, Predictive
from aqreanalysis.model.predictor import Encoded, Places, Predictor, load_predictor
from aqreanalysis.model.scaling import Scaling

__all__ = [
    "NUMERICS",
    "PROBABILITIES",
    "AQNet",
    "Bundle",
    "Calibration",
    "Encoded",
    "Places",
    "Predictive",
    "Predictor",
    "Scaling",
    "choose_device",
    "find_neighbours",
    "load_predictor",
    "lognormal_crps",
    "read_bundle",
    "write_bundle",
]
