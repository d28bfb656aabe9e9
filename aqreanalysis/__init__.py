"""Air-quality station records to gridded reanalysis cubes with honest error bars: the public API on one screen.

>>> import aqreanalysis as aq
>>> observations = aq.read_observations("obs.parquet")
>>> bundle = aq.train(observations, aq.load_config("aqnet"), "outputs/models/north")
>>> scores = aq.evaluate(bundle, observations, "outputs/evaluation/north")
>>> cube = aq.produce(bundle, observations, aq.load_grid("north-china-0.1"), "2019-01-01", "2019-01-08", "january.nc")
>>> aq.compare(cube, aq.read_observations("independent.parquet"))

Each name is imported from its room when it is first used, so that ``import aqreanalysis`` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aqreanalysis.configs import Config, list_configs, load_config
    from aqreanalysis.covariates import Covariates
    from aqreanalysis.errors import AqreanalysisError
    from aqreanalysis.evaluation import EvaluationOptions, compare, evaluate
    from aqreanalysis.export.exposure import exceedance, population_weighted_mean
    from aqreanalysis.grids import Grid, list_grids, load_grid
    from aqreanalysis.model import Predictor, load_predictor
    from aqreanalysis.nature import nature_run
    from aqreanalysis.observations import Observations, from_frame, read_observations
    from aqreanalysis.production import ProduceOptions, estimate, open_cube, produce
    from aqreanalysis.species import SPECIES
    from aqreanalysis.training.run_folder import TrainOptions
    from aqreanalysis.training.train import train

    __version__: str

_HOMES = {
    "configs": ("Config", "list_configs", "load_config"),
    "covariates": ("Covariates",),
    "errors": ("AqreanalysisError",),
    "evaluation": ("EvaluationOptions", "compare", "evaluate"),
    "export.exposure": ("exceedance", "population_weighted_mean"),
    "grids": ("Grid", "list_grids", "load_grid"),
    "model": ("Predictor", "load_predictor"),
    "nature": ("nature_run",),
    "observations": ("Observations", "from_frame", "read_observations"),
    "production": ("ProduceOptions", "estimate", "open_cube", "produce"),
    "species": ("SPECIES",),
    "training": ("TrainOptions", "train"),
}

__all__ = [
    "SPECIES",
    "AqreanalysisError",
    "Config",
    "Covariates",
    "EvaluationOptions",
    "Grid",
    "Observations",
    "Predictor",
    "ProduceOptions",
    "TrainOptions",
    "__version__",
    "compare",
    "estimate",
    "evaluate",
    "exceedance",
    "from_frame",
    "list_configs",
    "list_grids",
    "load_config",
    "load_grid",
    "load_predictor",
    "nature_run",
    "open_cube",
    "population_weighted_mean",
    "produce",
    "read_observations",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("aqreanalysis")
    for room, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"aqreanalysis.{room}"), name)
    raise AttributeError(f"module 'aqreanalysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
