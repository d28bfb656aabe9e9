"""Training: windows cut from resident tensors, masking, the loop, checkpoints, calibration, the bundle."""

from aqreanalysis.training.run_folder import TrainOptions
from aqreanalysis.training.train import train

__all__ = ["TrainOptions", "train"]
