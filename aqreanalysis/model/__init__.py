"""AQ-Net as torch modules, its predictive distribution, and the model bundle on disk: tensors, not station files."""

import os

# Left to itself, MKL lets the last digit of a product depend on whether its factors begin at a multiple of 16 bytes, as
# arrays that came over the network or out of a file need not. In this mode it does not, and is as fast. Read at MKL's
# first product, so before any module below comes to one; a process that multiplied by torch earlier must set it itself.
os.environ.setdefault("MKL_CBWR", "AUTO")

from aqreanalysis.model.bundle import NUMERICS, Bundle, read_bundle, training_fingerprint, write_bundle
from aqreanalysis.model.device import choose_device
from aqreanalysis.model.distribution.hourly import PROBABILITIES, Calibration, Predictive
from aqreanalysis.model.network.aqnet import AQNet, lognormal_crps
from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.network.scaling import Scaling
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.model.protocol import Predictor, load_predictor, resolve_predictor

__all__ = [
    "NUMERICS",
    "PROBABILITIES",
    "AQNet",
    "AnalysisPredictor",
    "Bundle",
    "Calibration",
    "Predictive",
    "Predictor",
    "Scaling",
    "choose_device",
    "find_neighbours",
    "load_predictor",
    "lognormal_crps",
    "read_bundle",
    "resolve_predictor",
    "training_fingerprint",
    "write_bundle",
]
