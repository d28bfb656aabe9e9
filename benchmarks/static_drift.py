"""What static fields give the drift: kriging of the logarithm at hidden cities and stations, with them and without.

    python benchmarks/static_drift.py --data ../shared/data/china_north_2019.parquet --species no2 pm10 pm25

Night lights, finer heights, coal units at work in 2019, iron and steel plants and towns lie in ``static/`` beside the
data; without them it says so and ends. Cities (stations joined at 25 km) are hidden in five folds, single stations in
as many; the drift is learned at the visible ones as training learns it. The control asks the same files at places
mirrored in space. No network. Beside the ratios of MAE stands the skill beside the floor, (MAE - floor) / (MAE of
kriging - floor): the floor is what two instruments less than 2 km apart differ by, over the root of two. Writes
benchmarks/results/static_drift_<name>.md.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from baselines import read
from drift import RESULTS, errors
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.configs import DriftConfig
from aqreanalysis.covariates import StaticFields
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.external_drift import StaticField, StaticSource
from aqreanalysis.observations import Observations
from aqreanalysis.splits import clusters
from aqreanalysis.training.drift import fit_drift, hour_stride

Floats = NDArray[np.float64]

FILES = {
    "lights": "viirs_night_lights_2025_15arcsec.tif",
    "heights": "elevation_0p05.tif",
    "coal": "gem_coal_units_north_china.csv:mw",
    "steel": "gem_iron_steel_plants_north_china.csv:scaling-cap",
    "towns": "geonames_cities500_north_china.csv:population",
}
WHERE = {"coal": {"where": {"operating_2019": True}}}
# Pairs of stations nearer than this tell what two instruments side by side differ by.
PAIR_KM, TOWN_KM = 2.0, 25.0
HEADING = "# Static fields in the drift: MAE over that of kriging of the logarithm\n"
EXPLAINED = """No network. Built-in: height and population at a sixth of a degree. Static: beside them night lights at
15 arc seconds, heights at 0.05 degree, MW of coal units at work in 2019, capacity of iron and steel plants, people of
towns. Mirrored: the same files, asked at places mirrored through the middle of the network. Cities: five folds of
stations joined at 25 km; tenth: five tenths of single stations. In brackets the standard error over the folds. Skill
beside the floor: (MAE - floor) / (MAE of kriging - floor), the floor being what instruments less than 2 km apart differ
by, over the root of two.
"""
HEADER = (
    "| pollutant | hidden | kriging | floor | built-in | static | mirrored | static over built-in "
    "| skill beside the floor | used, by fold | of the mirrored |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
FOLDS = {"cities": 5, "tenth": 10}


@dataclass(frozen=True)
class Mirrored:
    """Static fields as they are at places mirrored through the middle of the network: they tell nothing."""

    source: StaticSource
    centre: tuple[float, float]

    @property
    def fields(self) -> tuple[StaticField, ...]:
        """What is there."""
        return self.source.fields

    def means(self, name: str, lat: Floats, lon: Floats, windows_km: Sequence[float]) -> Floats:
        """Return the means around the mirrored places."""
        return self.source.means(name, 2 * self.centre[0] - lat, 2 * self.centre[1] - lon, windows_km)


def floor(values: Floats, lat: Floats, lon: Floats) -> float:
    """Return the mean difference of stations less than `PAIR_KM` apart, over the root of two."""
    km = np.linalg.norm(relative_position(lat[:, None], lon[:, None], lat[None], lon[None]), axis=-1)
    first, second = np.nonzero(np.triu(km < PAIR_KM, 1))
    return float(np.nanmean(np.abs(values[:, first] - values[:, second])) / np.sqrt(2))


def hidden_masks(lat: Floats, lon: Floats) -> dict[str, list[NDArray[np.bool_]]]:
    """Return the masks of hidden stations, by task: five folds of cities, and as many tenths of single stations."""
    towns = np.unique(clusters([str(i).zfill(6) for i in range(len(lat))], lat, lon, TOWN_KM), return_inverse=True)[1]
    rng = np.random.default_rng(0)
    of_city = (rng.permutation(towns.max() + 1) % FOLDS["cities"])[towns]
    of_station = rng.permutation(len(lat)) % FOLDS["tenth"]
    return {
        "cities": [of_city == fold for fold in range(FOLDS["cities"])],
        "tenth": [of_station == fold for fold in range(FOLDS["cities"])],
    }


def absolute_errors(
    values: NDArray[np.float32],
    places: tuple[Floats, Floats],
    hidden: NDArray[np.bool_],
    sources: dict[str, StaticSource | None],
    every: int,
) -> tuple[dict[str, Floats], dict[str, str]]:
    """Return the absolute errors at the hidden stations of kriging, alone and with the drift of each of `sources`, and
    which fields each drift uses."""
    visible, lat, lon = ~hidden, *places
    scaling = {"it": Scaling.fit(values[:, visible])}
    hours = values[every // 2 :: every]
    hours = hours[np.isfinite(hours).mean(axis=1) > 0.5]
    z, truth = scaling["it"].forward(hours).astype(np.float64), hours[:, hidden]
    here = {"none": np.zeros(len(lat))}
    used = {}
    thinned = values[:: hour_stride(len(values)), visible, None]
    for name, source in sources.items():
        drift = fit_drift(thinned, scaling, lat[visible], lon[visible], source)
        here[name] = np.zeros(len(lat)) if drift is None else drift.at(lat, lon, ["it"])[:, 0].astype(np.float64)
        used[name] = "" if drift is None else " ".join(one.name for one in drift.static)
    found = {}
    for name, drift_here in here.items():
        estimate = errors(z - drift_here, places, visible, [hidden])[0] + drift_here[hidden]
        best = np.exp(estimate * scaling["it"].std + scaling["it"].mean) - scaling["it"].offset
        found[name] = np.abs(np.maximum(best, 0) - truth)
    return found, used


def table(
    observations: Observations, asked: tuple[Sequence[str], Sequence[str]], static: StaticFields, every: int
) -> list[str]:
    """Return the rows of the table, and print each as it is there; `asked` are pollutants and tasks."""
    lat, lon = np.asarray(observations.lat), np.asarray(observations.lon)
    centre = float(lat.min() + lat.max()) / 2, float(lon.min() + lon.max()) / 2
    sources = {"built-in": None, "static": static, "mirrored": Mirrored(static, centre)}
    rows = []
    species, tasks = asked
    for key in species:
        values = observations.values(key)
        lowest = floor(values, lat, lon)
        folds_of = hidden_masks(lat, lon)
        for task in tasks:
            masks = folds_of[task]
            parts, used = defaultdict(list), defaultdict(list)
            for mask in masks:
                found, names = absolute_errors(values, (lat, lon), mask, sources, every)
                for name, part in found.items():
                    parts[name].append(part[np.isfinite(part)])
                for name, text in names.items():
                    used[name].append(text or "none")
            mae = {name: float(np.concatenate(part).mean()) for name, part in parts.items()}
            folds = np.array([[p.mean() for p in parts[name]] for name in ("static", "built-in")])
            spread = np.std(folds[0] / folds[1], ddof=1) / np.sqrt(len(masks))
            ratios = [f"{mae[name] / mae['none']:.3f}" for name in sources]
            skill = (mae["static"] - lowest) / (mae["none"] - lowest)
            rows.append(
                f"| {key} | {task} | {mae['none']:.2f} | {lowest:.2f} | {' | '.join(ratios)} | "
                f"{mae['static'] / mae['built-in']:.3f} ({spread:.3f}) | {skill:.3f} | {'; '.join(used['static'])} | "
                f"{'; '.join(used['mirrored'])} |"
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--species", nargs="+", default=["no2", "pm10", "pm25"])
    parser.add_argument("--tasks", nargs="+", default=list(FOLDS), choices=FOLDS)
    parser.add_argument("--every", type=int, default=61, help="hours between two that are scored; not a divisor of 24")
    given = parser.parse_args()
    folder = given.data.parent / "static"
    if not folder.is_dir():
        print(f"no static fields in {folder}: nothing to measure")
        return
    config = DriftConfig.model_validate({"fields": WHERE})
    static = StaticFields.open([f"{name}={folder / file}" for name, file in FILES.items()], config)
    rows = table(read(given.data), (given.species, given.tasks), static, given.every)
    command = f"python benchmarks/static_drift.py --data {given.data.name} --species {' '.join(given.species)}"
    text = f"{HEADING}\n`{command} --every {given.every}`. {EXPLAINED}\n{HEADER}\n" + "\n".join(rows) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"static_drift_{given.data.stem}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
