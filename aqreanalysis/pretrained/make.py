"""Make the pretrained model anew, from a seed to a bundle: ``make pretrained``.

    python -m aqreanalysis.pretrained.make [OUT]

It learns from nature runs alone. Their air is the program's own, so their licence is too; of the real records that the
benchmarks use, those of UCI (CC BY 4.0) might be learned from, but are kept to measure with, and the others state no
licence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config, load_config
from aqreanalysis.model import Bundle, Calibration, Scaling, write_bundle
from aqreanalysis.model.distribution.silence import climate_terms
from aqreanalysis.model.network.aqnet import BandCovariances
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.pretrained.networks import all_seen, draw_networks
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import TRAINING
from aqreanalysis.training.calibrate import LeftOutErrors, gap_reach, uncalibrated
from aqreanalysis.training.covariance_start import covariance_weights
from aqreanalysis.training.left_out import StationRecords, measure
from aqreanalysis.training.model_card import pretrained_card
from aqreanalysis.training.pretrain import ManyNetworks, PracticeNetwork, started_from_usual
from aqreanalysis.training.transfer import LocalNetwork, of_these_pollutants, transfer_to


@dataclass(frozen=True)
class Recipe:
    """What the model is made from.

    Attributes
    ----------
    seed, seed_kept_back : int
        First seeds of the nature runs that are learned from, and of those that say which weights are best and how far
        they are off.
    learned, kept_back : int
        How many of each.
    days, days_kept_back : int
        Length of each.
    overrides : tuple of str
        On the config ``aqnet``.
    """

    seed: int = 5000
    seed_kept_back: int = 6000
    learned: int = 16
    kept_back: int = 3
    days: int = 24
    days_kept_back: int = 16
    overrides: tuple[str, ...] = ("training.epochs=6", "training.steps_per_epoch=250")

    @property
    def config(self) -> Config:
        """The config that is trained with: all six pollutants."""
        keys = ", ".join(SPECIES)
        return load_config("aqnet", [f"species=[{keys}]", f"inputs=[{keys}]", *self.overrides])


def make(recipe: Recipe, progress: Progress | None = None) -> Bundle:
    """Return the pretrained model, its card written, from nature runs drawn by the recipe."""
    config = recipe.config
    learned = drawn(config, range(recipe.seed, recipe.seed + recipe.learned), recipe.days, False)
    kept_back = recipe.seed_kept_back, recipe.seed_kept_back + recipe.kept_back
    scored = drawn(config, range(*kept_back), recipe.days_kept_back, True)
    many = ManyNetworks(config, learned, scored)
    bundle = Bundle(
        config=config,
        # The average of the weights moves its own covariance models by a rounding: these are the usual ones exactly.
        members=[many.run(progress) | covariance_weights(BandCovariances.usual(), config.model.kernels)],
        scaling=usual_scaling(learned, config),
        calibration={key: Calibration.normal() for key in config.species},
        stations=pd.DataFrame({name: [] for name in ("station", "lat", "lon", "city", "role")}).astype(
            {"lat": np.float64, "lon": np.float64, "station": str, "city": str, "role": str}
        ),
        metrics={"training": many.state, **started_from_usual()},
        provenance=_provenance(recipe, learned),
    )
    bundle.calibration = pooled_calibration(bundle, scored)
    bundle.card = pretrained_card(bundle)
    return bundle


def drawn(config: Config, seeds: Iterable[int], days: int, scored: bool) -> list[PracticeNetwork]:
    """Return the networks of the nature runs of some seeds, to learn from or to score by."""
    records = (record for seed in seeds for record in draw_networks(seed, days))
    return [PracticeNetwork.of(record, all_seen(record, config, scored), config) for record in records]


def usual_scaling(networks: list[PracticeNetwork], config: Config) -> dict[str, Scaling]:
    """Return the median of the networks' scalings, by input: for a network whose own is not known."""
    usual = {}
    for key in config.inputs or config.species:
        rows = [list(one.scaling[key].to_dict().values()) for one in networks if key in one.observations.species]
        usual[key] = Scaling(*np.median(np.array(rows), axis=0).tolist())
    return usual


def pooled_calibration(bundle: Bundle, networks: list[PracticeNetwork]) -> dict[str, Calibration]:
    """Return each pollutant's calibration at all networks together, none of which the weights were fitted to."""
    parts: dict[str, list[LeftOutErrors]] = {key: [] for key in bundle.config.species}
    reach = 0
    for network in networks:
        here = of_these_pollutants(bundle, network.observations.species)
        practice = PracticeNetwork.of(network.observations, network.split, here.config)
        everyone = np.ones(len(practice.split.stations), dtype=bool)
        here = transfer_to(here, LocalNetwork(practice.split, practice.seen, everyone))
        seen, split = practice.seen, practice.split
        records = StationRecords(seen.values, seen.hours, split.lat, split.lon, everyone, ~everyone, learnt=False)
        predictor = uncalibrated(here, records, "cpu")
        reach = gap_reach(predictor)
        for key, measured in measure(predictor, records).items():
            parts[key].append(LeftOutErrors.of(measured, records))
    # Scaled by its own record, every network's climatology is zero on average.
    level = np.zeros(climate_terms(np.zeros(1, np.int64)).shape[1])
    return {key: LeftOutErrors.joined(some).table(level, reach) for key, some in parts.items() if some}


def _provenance(recipe: Recipe, learned: list[PracticeNetwork]) -> dict[str, Any]:
    from aqreanalysis import __version__

    stations = sum(int(one.split.where(TRAINING).sum()) for one in learned)
    source = (
        f"nature runs of {recipe.learned} seeds from {recipe.seed} on, {recipe.days} days each, cut into "
        f"{len(learned)} networks of {stations} stations in all, none of them measured"
    )
    return {
        "program": f"aqreanalysis {__version__}",
        "torch": torch.__version__,
        "device": "cpu",
        "observations_digest": "",
        "trained_on": {"source": source},
        "observations_attributes": {"source": source},
        "synthetic": "learned from nature runs; nothing in it was measured",
        "unseen_from": "1970-01-01T01",
        "cluster_km": recipe.config.split.cluster_km,
        "stations_by_role": {},
        "seed": recipe.seed,
        "threads": 1,
    }


def main() -> None:
    """Write the bundle to the folder that is given, or where the package has it."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    torch.set_num_threads(1)
    print(write_bundle(make(Recipe(), lambda d, n, note: print(f"\r{d}/{n} {note}", end="", flush=True)), out))


if __name__ == "__main__":
    main()
