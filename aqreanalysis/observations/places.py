"""Where the stations stand: one place a station, in range, the right way round; pairs at one place are counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import distance_km, points_within
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_kinds import kinds_of

# What is known of a station beside its place; a table of places has those columns that are known.
LABELS = ("city", "name", "kind", "network")
# Words for kinds that are named in a warning, at most.
_NAMED = 5
# Coordinates of one station that differ by less than this (some 100 m) differ by rounding; by more, it has moved.
JITTER_DEGREES = 0.001
COLOCATED_KM = 0.1
# Two ids at exactly one place are one station under two names if this share of their common readings is equal.
SAME_SHARE = 0.99
SAME_MIN_READINGS = 48


@dataclass(frozen=True)
class StationPlaces:
    """Stations: `ids` (station,), `lat`, `lon` float64 degrees; where known `city`, `name`, `kind` and `network`.

    A kind is one of `station_kinds.KINDS` or empty; a network is named as its stations' lists name it.
    """

    ids: list[str]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    city: list[str] | None = None
    name: list[str] | None = None
    kind: list[str] | None = None
    network: list[str] | None = None

    def subset(self, keep: NDArray[np.integer]) -> StationPlaces:
        """Return the stations at the indices `keep`, in that order."""
        known = {label: texts for label in LABELS if (texts := getattr(self, label)) is not None}
        return StationPlaces(
            ids=[self.ids[i] for i in keep],
            lat=self.lat[keep],
            lon=self.lon[keep],
            **{label: [texts[i] for i in keep] for label, texts in known.items()},
        )


def exact_degrees(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return degrees as float64; a float32 becomes the shortest decimal that it stands for.

    The same table as CSV (116.3621) and as Parquet with float32 columns (116.36209869...) then gives equal stations.
    """
    if values.dtype == np.float32:
        distinct, index = np.unique(values, return_inverse=True)
        return np.array([float(str(v)) for v in distinct], dtype=np.float64)[index.reshape(values.shape)]
    return values.astype(np.float64)


def places_of_rows(frame: pd.DataFrame, report: QualityReport) -> StationPlaces:
    """Return one place for each station of `frame`, stations without coordinates left out.

    Parameters
    ----------
    frame : DataFrame
        Columns ``station`` (str), ``lat``, ``lon`` (float64) and, where known, those of `LABELS`; one row for each
        distinct combination is enough.

    Raises
    ------
    ObservationsError
        A coordinate is out of range or swapped, or a station stands at two places.
    """
    frame = frame[frame["station"].notna()]
    missing = frame["lat"].isna() | frame["lon"].isna() | ((frame["lat"] == 0) & (frame["lon"] == 0))
    placed = frame[~missing]
    if placed.empty:
        ids = ", ".join(f"{text:.40}" for text in sorted(set(frame["station"].astype(str)))[:_NAMED])
        raise ObservationsError(
            f"{report.source}: no station has coordinates: fill the latitude and longitude columns, or give a station "
            f"list that knows {ids or 'their ids'}"
        )
    check_range(placed, report.source)
    wrapped = placed["lon"] > 180
    if wrapped.any():
        report.count("longitudes_wrapped", placed.loc[wrapped, "station"].nunique())
        placed = placed.assign(lon=np.where(wrapped, np.round(placed["lon"] - 360.0, 10), placed["lon"]))
    groups = placed.groupby("station", sort=True)
    # Not the mean: the median of an odd number of equal values is that value, bit for bit, in any order of rows.
    centre = groups[["lat", "lon"]].median()
    spread = groups[["lat", "lon"]].max() - groups[["lat", "lon"]].min()
    moved = (spread > JITTER_DEGREES).any(axis=1)
    if moved.any():
        _refuse_moving(placed, str(moved.index[int(np.argmax(moved.to_numpy()))]), int(moved.sum()), report.source)
    report.count("stations_jittered", int((spread > 0).any(axis=1).sum()))
    # What rows say that a list places counts where the list says nothing.
    others = frame[missing & frame["station"].isin(centre.index)].groupby("station", sort=True)
    known = {label: _labels(groups, others, label) for label in LABELS if label in frame}
    if "kind" in known:
        known["kind"] = _kinds(known["kind"], report)
    known = {label: texts for label, texts in known.items() if label in ("city", "name") or any(texts)}
    return StationPlaces(
        ids=[str(i) for i in centre.index],
        lat=centre["lat"].to_numpy(dtype=np.float64),
        lon=centre["lon"].to_numpy(dtype=np.float64),
        **known,
    )


def _kinds(texts: list[str], report: QualityReport) -> list[str]:
    """Return the kinds that words mean; words that mean none are named."""
    kinds, unknown = kinds_of(texts)
    if unknown:
        named = ", ".join(f"{text:.24}" for text in unknown[:_NAMED])
        report.warnings.append(
            f"kinds of station that are not known: {named}; taken as background (write background, traffic or "
            "industrial)"
        )
    return kinds


def check_range(frame: pd.DataFrame, source: str) -> None:
    """Refuse a latitude outside -90..90 or a longitude outside -180..360, and say so if they look swapped.

    Raises
    ------
    ObservationsError
        Naming the first such station and its coordinates.
    """
    # Written so that infinities fail too.
    bad_lat = ~(frame["lat"].abs() <= 90)
    bad = bad_lat | ~((frame["lon"] >= -180) & (frame["lon"] <= 360))
    if not bad.any():
        return
    row = frame[bad].iloc[0]
    swapped = bad_lat & (frame["lon"].abs() <= 90) & (frame["lat"] >= -180) & (frame["lat"] <= 360)
    if swapped[bad].all():
        rule = "latitude and longitude look swapped: exchange columns.lat and columns.lon"
    else:
        rule = "latitude must lie in -90..90 and longitude in -180..360 degrees: correct the file"
    raise ObservationsError(
        f"{source}: station {row['station']!r} stands at lat {row['lat']:g}, lon {row['lon']:g} "
        f"({frame.loc[bad, 'station'].nunique()} stations like it): {rule}"
    )


def _refuse_moving(placed: pd.DataFrame, station: str, how_many: int, source: str) -> None:
    own = placed[placed["station"] == station].sort_values(["lat", "lon"])
    first, last = own.iloc[0], own.iloc[-1]
    km = distance_km(first["lat"], first["lon"], last["lat"], last["lon"])
    raise ObservationsError(
        f"{source}: station {station!r} stands at lat {first['lat']:g}, lon {first['lon']:g} and at lat "
        f"{last['lat']:g}, lon {last['lon']:g}, {km:.1f} km apart ({how_many} such stations): a station must not move; "
        f"give each place an id of its own, for example '{station}-2'"
    )


def _labels(groups: pd.api.typing.DataFrameGroupBy, others: pd.api.typing.DataFrameGroupBy, column: str) -> list[str]:
    """Return a label of each station by its placed rows, where these have none by the others."""
    first = _first_text(groups, column)
    if all(first) or not len(others):
        return first
    beside = dict(zip(others.groups, _first_text(others, column), strict=True))
    return [text or beside.get(station, "") for station, text in zip(groups.groups, first, strict=True)]


def _first_text(groups: pd.api.typing.DataFrameGroupBy, column: str) -> list[str]:
    # The alphabetically first of several spellings, so that the order of rows does not matter.
    chosen = groups[column].agg(lambda texts: min((str(t) for t in texts.dropna()), default=""))
    return [str(t) for t in chosen]


def colocated_pairs(places: StationPlaces) -> list[tuple[int, int]]:
    """Return the pairs of stations, as indices (i < j), that stand within 100 m of each other."""
    near = points_within(places.lat, places.lon, COLOCATED_KM)
    return [(i, int(j)) for i, others in enumerate(near) for j in others if i < j]


class TwinCount:
    """Stations at exactly one place, and how many of their common readings are equal, gathered block by block."""

    def __init__(self, places: StationPlaces) -> None:
        self._places = places
        self._pairs = colocated_pairs(places)
        same = [(i, j) for i, j in self._pairs if places.lat[i] == places.lat[j] and places.lon[i] == places.lon[j]]
        self._counts = {pair: [0, 0] for pair in same}

    def add(self, values: dict[str, NDArray[np.float32]]) -> None:
        """Take in usable readings, (time, station) a pollutant."""
        for (i, j), counts in self._counts.items():
            for readings in values.values():
                both = np.isfinite(readings[:, i]) & np.isfinite(readings[:, j])
                counts[0] += int(both.sum())
                counts[1] += int((readings[both, i] == readings[both, j]).sum())

    def judge(self, report: QualityReport) -> None:
        """Count the pairs, refuse one station under two names, and tell of one that seems to go on under another.

        Raises
        ------
        ObservationsError
            Two ids stand at exactly one place with the same readings: hidden under one name, the station would still
            be seen under the other, and every score would flatter.
        """
        report.count("colocated_pairs", len(self._pairs))
        for (i, j), (common, equal) in self._counts.items():
            one, other = self._places.ids[i], self._places.ids[j]
            if common == 0:
                report.warnings.append(
                    f"stations {one!r} and {other!r} stand at one place and never measure together: if one goes on "
                    f"under the name of the other, set columns.rename.{other}={one}"
                )
            if common >= SAME_MIN_READINGS and equal >= SAME_SHARE * common:
                raise ObservationsError(
                    f"{report.source}: stations {one!r} and {other!r} stand at one place (lat "
                    f"{self._places.lat[i]:g}, lon {self._places.lon[i]:g}) and {equal} of their {common} common "
                    "readings are equal: one station under two names; keep one of them"
                )
