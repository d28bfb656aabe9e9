"""The synthetic nature run: a region whose truth is known at every cell and hour (an OSSE), for the demo and tests."""

from aqreanalysis.nature.run import Nature, nature_run

__all__ = ["Nature", "nature_run"]
