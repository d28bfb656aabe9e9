"""From a model, observations and a grid to a cube on disk: plan, sweep, stores, and the run that joins them."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.production.cube import describe_cube, open_cube
    from aqreanalysis.production.lazy_cube import estimate
    from aqreanalysis.production.options import ProduceOptions
    from aqreanalysis.production.run import produce, produce_cubes

__all__ = ["ProduceOptions", "describe_cube", "estimate", "open_cube", "produce", "produce_cubes"]

# On demand: whoever opens a cube needs neither torch nor dask.
__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "cube": ("describe_cube", "open_cube"),
        "lazy_cube": ("estimate",),
        "options": ("ProduceOptions",),
        "run": ("produce", "produce_cubes"),
    },
)
