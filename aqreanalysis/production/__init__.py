"""From a model, observations and a grid to a cube on disk: plan, template, sweep, write, finalise."""

from aqreanalysis.production.cube import describe_cube, open_cube
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.run import produce, produce_cubes

__all__ = ["ProduceOptions", "describe_cube", "open_cube", "produce", "produce_cubes"]
