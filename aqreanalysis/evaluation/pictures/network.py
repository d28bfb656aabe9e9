"""What the network has learned: its attention over the window's hours, and its neighbours' weights by distance."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import cmocean
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.errors import ModelError
from aqreanalysis.evaluation.pictures.style import Picture, figures_of, legend_above, new_figure, save
from aqreanalysis.model.inspection import Attention, NeighbourWeights, read_attention, read_neighbour_weights
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.observations import Observations, window
from aqreanalysis.species import SPECIES

_DAYS, _STATIONS, _PLACES = 8, 60, 400
#: Farther than this from every station a place is no example of what the network does.
_FARTHEST_KM = 100.0
_IDW_POWER = 2.0
_CLASSES = 14
_FEWEST = 50
_LEAST_RATIO = 1.5
_SHADES = ("#b2182b", "#0072b2", "#009e73", "#e69f00")


@dataclass(frozen=True)
class ModelInternals:
    """What was read off the network at work.

    Attributes
    ----------
    attention : Attention or None
        Mean over some days of the hours that count and some stations.
    neighbours : dict of str to NeighbourWeights
        By pollutant, at places drawn from among the stations.
    notes : list of str
        What could not be read, and why.
    """

    attention: Attention | None
    neighbours: dict[str, NeighbourWeights]
    notes: list[str] = field(default_factory=list)


def inspect_model(
    predictor: AnalysisPredictor, observations: Observations, hours: npt.NDArray[np.int64]
) -> ModelInternals:
    """Return what the network attends to and how it weighs neighbours; the draws have a seed of their own.

    Parameters
    ----------
    predictor : AnalysisPredictor
        A trained model; what it computes stays the same.
    observations : Observations
        The network's readings.
    hours : ndarray of int64
        Hours since 1970-01-01 from whose days some are taken.
    """
    rng = np.random.default_rng(0)
    notes, attention = [], None
    neighbours: dict[str, NeighbourWeights] = {}
    try:
        attention = _attention(predictor, observations, hours, rng)
    except ModelError as error:
        notes.append(str(error))
    lat, lon = _places(observations, rng)
    try:
        neighbours = read_neighbour_weights(predictor, observations.lat, observations.lon, lat, lon)
    except ModelError as error:
        notes.append(str(error))
    return ModelInternals(attention, neighbours, notes)


def _attention(
    predictor: AnalysisPredictor, observations: Observations, hours: npt.NDArray[np.int64], rng: np.random.Generator
) -> Attention:
    count = len(observations.stations)
    some = np.sort(rng.permutation(count)[:_STATIONS])
    days = np.unique((hours - 1) // 24)
    days = days[np.unique(np.linspace(0, len(days) - 1, _DAYS).round().astype(np.int64))]
    before, after = predictor.history_hours, predictor.lookahead_hours
    parts = []
    for day in days:
        values, stamps = window(observations, predictor.inputs, 24 * int(day) + 1 - before, before + 24 + after)
        parts.append(read_attention(predictor, values[:, some], stamps, observations.lat[some], observations.lon[some]))
    first, windows = parts[0], [f.windows for f in parts]
    mean = np.average([f.weights for f in parts], axis=0, weights=windows)
    return Attention(first.query_hours, first.key_hours, mean, sum(windows))


def _places(
    observations: Observations, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return places drawn from the stations' bounding box, none of them far from every station."""
    lat, lon = observations.lat, observations.lon
    drawn_lat = rng.uniform(lat.min(), lat.max(), 4 * _PLACES)
    drawn_lon = rng.uniform(lon.min(), lon.max(), 4 * _PLACES)
    near = distance_matrix_km(drawn_lat, drawn_lon, lat, lon).min(axis=1) <= _FARTHEST_KM
    return drawn_lat[near][:_PLACES], drawn_lon[near][:_PLACES]


def picture_attention(attention: Attention, path: Path) -> Picture:
    """Draw the attention that each hour of the day pays to each hour of the window, as the AQ-Net paper does."""
    query, key, weights = attention.query_hours, attention.key_hours, attention.weights
    even = 1.0 / len(key)
    figure = new_figure(4.6)
    axes = figure.subplots()
    # A ratio: twice and half the even share are equally far from white. Near-even attention is to look even.
    reach = max(float(np.abs(np.log(np.maximum(weights / even, 1e-3))).max()), np.log(_LEAST_RATIO))
    scale = LogNorm(np.exp(-reach), np.exp(reach))
    mesh = axes.pcolormesh(_edges(key), _edges(query), weights / even, cmap=cmocean.cm.balance, norm=scale)
    for hour in range(int(key[0]) - int(key[0]) % 24, int(key[-1]) + 1, 24):
        axes.axvline(hour - 0.5, color="#777777", linewidth=0.6)
    if np.array_equal(query, query.clip(key[0], key[-1])):
        axes.plot(query, query, color="black", linewidth=1.0, linestyle=":")
    axes.set_xlabel("hour of the window, from the day's first hour (before 0: history)")
    axes.set_ylabel("hour of the day asked for")
    axes.set_xticks(np.arange(-(-int(key[0]) // 24) * 24, int(key[-1]) + 1, 24 if len(key) <= 240 else 48))
    axes.set_yticks(query[:: max(1, len(query) // 8)])
    axes.invert_yaxis()
    bar = figure.colorbar(mesh, ax=axes, label="attention, as multiple of an even share")
    bar.set_ticks(np.exp(np.linspace(-reach, reach, 5)).tolist(), minor=False)
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:.2g}"))
    apart = np.abs(key[None, :] - query[:, None])
    day = (key >= query[0]) & (key <= query[-1])
    ranked = np.unravel_index(int(weights.argmax()), weights.shape)
    shares = {
        "within_3_hours": float((weights * (apart <= 3)).sum(axis=1).mean()),
        "history": float(weights[:, key < query[0]].sum(axis=1).mean()),
        "same_day": float(weights[:, day].sum(axis=1).mean()),
        "later_days": float(weights[:, key > query[-1]].sum(axis=1).mean()),
    }
    return Picture(
        "attention",
        "Attention over the window: how much each hour of the window (across) counts for each hour of the day asked "
        "for (down), 1 where all count alike. Mean over heads, members, and "
        f"{attention.windows} windows; the dotted line is the hour itself. The recurrent layer before it has already "
        "spread what each hour says to those around it.",
        f"Heat map, {len(query)} hours asked for by {len(key)} hours of the window. Shares of the attention: "
        f"{shares['history']:.0%} to the days before, {shares['same_day']:.0%} to the day itself, "
        f"{shares['later_days']:.0%} to the days after; {shares['within_3_hours']:.0%} to hours within 3 h. Highest at "
        f"hour {int(key[ranked[1]])} for hour {int(query[ranked[0]])}: {weights.max() / even:.2f} times an even share.",
        save(figure, path),
        {
            "query_hours": query.tolist(),
            "window_hours": key.tolist(),
            "windows": attention.windows,
            "weights": weights.round(6).tolist(),
            "shares": shares,
        },
    )


def picture_neighbours(species: str, learned: NeighbourWeights, path: Path) -> Picture:
    """Draw the learned weights against distance, beside those of inverse distance to the same neighbours."""
    distance = np.maximum(learned.distance_km, 0.1)
    mean = learned.weights.mean(axis=0)
    inverse = distance**-_IDW_POWER
    inverse /= inverse.sum(axis=1, keepdims=True)
    edges = np.geomspace(max(1.0, float(np.quantile(distance, 0.005))), float(np.quantile(distance, 0.995)), _CLASSES)
    middle = np.sqrt(edges[:-1] * edges[1:])
    label = np.digitize(distance, edges) - 1
    shown = np.array([int((label == i).sum()) >= _FEWEST for i in range(len(middle))])

    def by_class(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.array([weights[label == i].mean() if s else np.nan for i, s in enumerate(shown)])

    figure = new_figure(4.4)
    axes = figure.subplots()
    axes.scatter(distance.ravel(), mean.ravel(), s=3, color="#c9c9c9", linewidths=0, rasterized=True)
    axes.axhline(0, color="black", linewidth=0.8)
    curves = {
        band: by_class(learned.weights[[b == band for b in learned.bands]].mean(axis=0))
        for band in dict.fromkeys(learned.bands)
    }
    for colour, (band, curve) in zip(cycle(_SHADES[1:]), curves.items(), strict=False):
        axes.plot(middle, curve, color=colour, linewidth=1.4, label=band)
    overall, plain_idw = by_class(mean), by_class(inverse)
    axes.plot(middle, overall, color=_SHADES[0], linewidth=2.4, marker="o", markersize=4, label="mean of all")
    axes.plot(middle, plain_idw, color="black", linewidth=1.4, linestyle="--", label="inverse distance, power 2")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda km, _: f"{km:g}"))
    axes.set_ylim(float(np.quantile(mean, 0.001)) - 0.02, float(np.quantile(mean, 0.998)) + 0.02)
    axes.set_xlabel("distance of the neighbour (km)")
    axes.set_ylabel("weight")
    legend_above(figure, size=8.0)
    negative = float((mean < 0).mean())
    nearest = float(mean[:, 0].mean())
    return Picture(
        f"neighbours_{species}",
        f"Learned weights of the {distance.shape[1]} nearest stations for {SPECIES[species].title}, at "
        f"{len(distance)} places drawn among the stations: grey, one neighbour each; lines, means by distance, of all "
        "and of each part of a value that has weights of its own. Weights below zero are those of stations that stand "
        "behind others.",
        f"Lines of mean weight against distance. The nearest station has {nearest:.2f} in the mean (inverse distance: "
        f"{float(inverse[:, 0].mean()):.2f}), and {negative:.0%} of all weights are below zero. Mean by distance: "
        + ", ".join(f"{figures_of(w, 2)} at {m:.0f} km" for m, w in zip(middle[shown], overall[shown], strict=True))
        + ".",
        save(figure, path),
        {
            "distance_km": middle.round(3).tolist(),
            "weight": overall.round(5).tolist(),
            "weight_of_inverse_distance": plain_idw.round(5).tolist(),
            "weight_by_band": {n: c.round(5).tolist() for n, c in curves.items()},
            "nearest_station_weight": nearest,
            "share_below_zero": negative,
        },
    )


def _edges(hours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.append(hours - 0.5, hours[-1] + 0.5)
