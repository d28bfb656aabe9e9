"""What height and population give: kriging of the logarithm at hidden stations and cities, with the drift and without.

    python benchmarks/drift.py --data ../shared/data/china_north_2019.parquet --draws 8

Each draw hides other stations and cities; the drift is learned at the rest, in the hours before the last fifth, and
both are scored in those hours. No network, so that ten draws take minutes: it says what the field itself gives. Writes
benchmarks/results/drift_<name>.md: MAE with the drift over MAE without, mean over the draws and its standard error.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from baselines import read
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.configs import SplitConfig
from aqreanalysis.geostatistics.kriging import ordinary_kriging
from aqreanalysis.geostatistics.variogram import empirical_variogram, fit_variogram
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.observations import Observations
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split, draw_split
from aqreanalysis.training.drift import fit_drift

RESULTS = Path(__file__).parent / "results"
Floats = NDArray[np.float64]


def errors(
    z: Floats, places: tuple[Floats, Floats], visible: NDArray[np.bool_], hidden: list[NDArray[np.bool_]]
) -> list[Floats]:
    """Return the kriged standardised logarithm of `z` (hour, station) at each mask of hidden stations."""
    km = np.linalg.norm(relative_position(*(x[:, None] for x in places), *(x[None] for x in places)), axis=-1)
    km += 1e-3 * (1 - np.eye(len(km)))
    variogram = fit_variogram("two exponentials", empirical_variogram(z[::4][:, visible], km[np.ix_(visible, visible)]))
    covariance = variogram.covariance(km)
    found = [np.full((len(z), int(h.sum())), np.nan) for h in hidden]
    for t, hour in enumerate(z):
        at = np.flatnonzero(visible & np.isfinite(hour))
        for estimate, mask in zip(found, hidden, strict=True):
            among, there = covariance[np.ix_(at, at)], covariance[np.ix_(at, mask)]
            estimate[t], _ = ordinary_kriging(among, there, hour[at], variogram.sill)
    return found


def ratios(observations: Observations, key: str, split: Split, every: int) -> dict[str, float]:
    """Return MAE with the drift over MAE without, by protocol, and the slopes."""
    seen = np.asarray(observations.times, "datetime64[h]") < split.unseen_from
    values = observations.values(key)[seen]
    hidden = [split.where(HIDDEN_TENTH), split.where(HIDDEN_CITY)]
    visible = ~(hidden[0] | hidden[1])
    scaling = Scaling.fit(values[:, visible])
    drift = fit_drift(values[:, visible, None], {key: scaling}, split.lat[visible], split.lon[visible])
    here = (drift or Drift({}, (0, 0), (0, 0), (0, 0))).at(split.lat, split.lon, [key])[:, 0].astype(np.float64)
    hours = values[every // 2 :: every]
    hours = hours[np.isfinite(hours).mean(axis=1) > 0.5]
    z, places = scaling.forward(hours).astype(np.float64), (split.lat, split.lon)
    plain = errors(z, places, visible, hidden)
    drifted = plain if drift is None else errors(z - here, places, visible, hidden)
    found = {"height": 0.0 if drift is None else drift.slopes[key][0] * scaling.std}
    found["people"] = 0.0 if drift is None else drift.slopes[key][1] * scaling.std
    for name, mask, without, with_it in zip(("tenth", "cities"), hidden, plain, drifted, strict=True):
        truth = hours[:, mask]
        back = [np.exp(x * scaling.std + scaling.mean) - scaling.offset for x in (without, with_it + here[mask])]
        before, after = (np.nanmean(np.abs(np.maximum(b, 0) - truth)) for b in back)
        found[name] = float(after / before)
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--every", type=int, default=61, help="hours between two that are scored; not a divisor of 24")
    given = parser.parse_args()
    observations = read(given.data)
    rows = [
        "| pollutant | tenth | cities | a log unit of height | a log unit of population |",
        "|---|---|---|---|---|",
    ]
    for key in observations.species:
        draws = defaultdict(list)
        for seed in range(1, given.draws + 1):
            for name, value in ratios(
                observations, key, draw_split(observations, SplitConfig(seed=seed)), given.every
            ).items():
                draws[name].append(value)
        cells = [
            f"{np.mean(x):.3f} ({np.std(x, ddof=1) / np.sqrt(len(x)):.3f})" for x in (draws["tenth"], draws["cities"])
        ]
        cells += [f"{np.mean(draws[name]):+.3f}" for name in ("height", "people")]
        rows.append(f"| {key} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    text = (
        "# Height and population: MAE with the drift over MAE without\n\n"
        f"`python benchmarks/drift.py --data {given.data.name} --draws {given.draws} --every {given.every}`. Kriging "
        "of the logarithm in both, no network. In brackets the standard error over the draws of hidden stations. The "
        "fields are log(1 + height / 150 m) and log(1 + people a square km / 10); a pollutant whose slopes did not "
        "earn their place has none.\n\n" + "\n".join(rows) + "\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"drift_{given.data.stem}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
