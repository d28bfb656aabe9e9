"""Which stations and which hours training never sees, drawn once from a seed and kept in the model bundle.

A network's stations stand close together in cities, so a station hidden alone has neighbours a few kilometres away
and flatters every method. Whole cities are therefore hidden beside single stations: they show the skill at places
that nobody monitors, which most cells of a grid are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import DBSCAN

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, distance_km
from aqreanalysis.common.hours import HOUR
from aqreanalysis.configs import SplitConfig
from aqreanalysis.errors import ModelError, ObservationsError, nearest_hint

if TYPE_CHECKING:
    from aqreanalysis.model.bundle import Bundle
    from aqreanalysis.observations import Observations

TRAINING = "training"
CALIBRATION = "calibration"
HIDDEN_TENTH = "hidden-tenth"
HIDDEN_CITY = "hidden-city"
ROLES = (TRAINING, CALIBRATION, HIDDEN_TENTH, HIDDEN_CITY)

#: Fewer than this leave the neural kNN nothing to learn a weight from.
MIN_TRAINING_STATIONS = 5
#: Stations that a chain of such steps joins are of one town.
TOWN_KM = 25.0

_SMALLEST_CLUSTER_KM = 1.0
# A station that stands farther from where it stood is another one of the same name: ids like 1, 2, 3 are everywhere.
_SAME_PLACE_KM = 1.0
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Split:
    """The role of each station, and the hour from which on training sees nothing.

    Attributes
    ----------
    stations : tuple of str
        Station ids.
    lat, lon : ndarray of float64, shape (station,)
        Degrees north and east.
    city : tuple of str
        The group that is hidden as a whole: the city's name, or ``cluster-<station>`` where none is named.
    role : ndarray of str, shape (station,)
        One of `ROLES`.
    unseen_from : numpy.datetime64
        First stamp (end of the hour, UTC) that training does not see; always 01:00, the first hour of a UTC day.
        Past the last stamp where no hour is held back.
    cluster_km : float
        Distance under which unnamed stations were joined to one city, in kilometres. Less than the config's where
        clusters of that size held so many stations that none could be hidden.
    """

    stations: tuple[str, ...]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    city: tuple[str, ...]
    role: npt.NDArray[np.str_]
    unseen_from: np.datetime64
    cluster_km: float

    def where(self, *roles: str) -> npt.NDArray[np.bool_]:
        """Return a mask over the stations, shape (station,): True where the role is one of `roles`."""
        for role in roles:
            if role not in ROLES:
                raise ModelError(f"no station role {role!r}: there are {', '.join(ROLES)}{nearest_hint(role, ROLES)}")
        return np.isin(self.role, roles)

    def roles_of(self, stations: Sequence[str], unknown: str = TRAINING) -> npt.NDArray[np.str_]:
        """Return the role of each of `stations`, shape (len(stations),); `unknown` for those the split has not."""
        known = dict(zip(self.stations, self.role.tolist(), strict=True))
        return np.array([known.get(s, unknown) for s in stations], dtype=np.str_)

    def knows(self, observations: Observations) -> bool:
        """Return whether any station of the observations is one of these, by its id and where it stands."""
        rows = {station: i for i, station in enumerate(self.stations)}
        pairs = [(i, rows[s]) for i, s in enumerate(observations.stations) if s in rows]
        if not pairs:
            return False
        here, there = np.array(pairs).T
        km = distance_km(observations.lat[here], observations.lon[here], self.lat[there], self.lon[there])
        return bool((km <= _SAME_PLACE_KM).any())

    def counts(self) -> dict[str, int]:
        """Return the number of stations in each role, in the order of `ROLES`."""
        return {role: int(np.count_nonzero(self.role == role)) for role in ROLES}

    def to_frame(self) -> pd.DataFrame:
        """Return one row a station with columns station, lat, lon, city, role: the bundle's ``stations.parquet``."""
        columns = {"station": self.stations, "lat": self.lat, "lon": self.lon, "city": self.city, "role": self.role}
        return pd.DataFrame(columns)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, unseen_from: np.datetime64 | str, cluster_km: float) -> Split:
        """Return the split that `to_frame` wrote.

        Raises
        ------
        ModelError
            If a column is missing, or a role is none of `ROLES`.
        """
        missing = [c for c in ("station", "lat", "lon", "city", "role") if c not in frame.columns]
        if missing:
            raise ModelError(
                f"table of stations without {', '.join(missing)}: the model bundle is not whole; copy it anew"
            )
        unknown = sorted(set(frame["role"].astype(str)) - set(ROLES))
        if unknown:
            raise ModelError(f"table of stations with role {unknown[0]!r}: known are {', '.join(ROLES)}")
        return cls(
            stations=tuple(frame["station"].astype(str)),
            lat=frame["lat"].to_numpy(np.float64),
            lon=frame["lon"].to_numpy(np.float64),
            city=tuple(frame["city"].astype(str)),
            role=frame["role"].to_numpy().astype(np.str_),
            unseen_from=np.datetime64(str(unseen_from), "h"),
            cluster_km=float(cluster_km),
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Split:
        """Return the split that a model was trained with, from its table of stations and its provenance.

        Raises
        ------
        ModelError
            If the bundle does not say from when on hours are unseen.
        """
        unseen_from = bundle.provenance.get("unseen_from")
        if unseen_from is None:
            raise ModelError(
                "the model's provenance.json has no unseen_from: it cannot be told what training saw; retrain"
            )
        km = bundle.provenance.get("cluster_km", bundle.config.split.cluster_km)
        return cls.from_frame(bundle.stations, str(unseen_from).removesuffix("Z"), float(km))


def split_for(bundle: Bundle, observations: Observations) -> Split:
    """Return the split that a model is scored by on some observations: that of its training where it knows them.

    On a network of which training saw no station all stations and hours are unseen: roles and hours are drawn there,
    as a training there would draw them, so that figures of both can be held side by side.

    Raises
    ------
    ObservationsError
        As `draw_split`, on another network.
    """
    own = Split.of_bundle(bundle)
    return own if own.knows(observations) else draw_split(observations, bundle.config.split)


def draw_split(observations: Observations, config: SplitConfig) -> Split:
    """Return the role of each station and the first hour that training does not see.

    The draw depends on the seed and on the set of stations, not on their order in the file. Whole cities are drawn
    before single stations, so that no station of a hidden city stays in sight. Half of the calibration stations are
    single ones and half whole cities: intervals are calibrated by distance to the nearest station, and need both
    short and long distances.

    Parameters
    ----------
    observations : Observations
        Stations with their places (and cities, where named) and the timeline.
    config : SplitConfig
        Shares, seed, and the distance that joins unnamed stations to one city.

    Raises
    ------
    ObservationsError
        With too few stations or days to leave something to train on; the message says how many are needed.
    """
    stations = np.array(observations.stations, dtype=np.str_)
    order = np.argsort(stations, kind="stable")
    lat, lon = np.asarray(observations.lat, np.float64), np.asarray(observations.lon, np.float64)
    named = observations.city
    sorted_named = None if named is None else [named[i] for i in order]
    _check_enough(len(stations), config)
    city, cluster_km = _cities(stations[order], lat[order], lon[order], sorted_named, config)
    role = np.empty(len(stations), dtype=f"<U{max(map(len, ROLES))}")
    role[order] = _draw_roles(np.array(city, dtype=np.str_), config)
    training = int(np.count_nonzero(role == TRAINING))
    if training < MIN_TRAINING_STATIONS:
        raise ObservationsError(
            f"{len(stations)} stations leave {training} to train on, and at least {MIN_TRAINING_STATIONS} are needed: "
            "bring more stations, or lower split.hidden_stations, split.hidden_cities or split.calibration_stations"
        )
    if config.hidden_cities > 0 and HIDDEN_CITY not in role:
        raise ObservationsError(
            f"no city is small enough to be hidden whole: the smallest has {min(Counter(city).values())} of "
            f"{len(stations)} stations and split.hidden_cities = {config.hidden_cities:g}; raise that share, or leave "
            "columns.city unset so that clusters of stations are hidden"
        )
    by_station = dict(zip(order.tolist(), city, strict=True))
    return Split(
        stations=tuple(stations.tolist()),
        lat=lat.copy(),
        lon=lon.copy(),
        city=tuple(by_station[i] for i in range(len(stations))),
        role=role,
        unseen_from=first_unseen_hour(np.asarray(observations.times, dtype="datetime64[h]"), config.unseen_time),
        cluster_km=cluster_km,
    )


def first_unseen_hour(times: npt.NDArray[np.datetime64], share: float) -> np.datetime64:
    """Return the first stamp of the last `share` of the timeline, moved to the 01:00 of the nearest UTC day.

    Windows are anchored to whole UTC days (stamps 01:00 to 00:00 of the next day), so a day is seen whole or not at
    all. With a share of 0 the stamp lies past the timeline.

    Raises
    ------
    ObservationsError
        If the timeline is too short to keep at least one whole day on either side.
    """
    first_day = (times[0] - HOUR).astype("datetime64[D]")
    last_day = (times[-1] - HOUR).astype("datetime64[D]")
    days = int((last_day - first_day) / _DAY) + 1
    unseen = round(share * days)
    if share > 0 and (unseen < 1 or unseen >= days):
        needed = max(2, int(np.ceil(0.5 / share)) + 1)
        raise ObservationsError(
            f"a timeline of {days} days has no whole day for split.unseen_time = {share:g}: "
            f"at least {needed} days are needed; bring more hours or set split.unseen_time=0"
        )
    start: np.datetime64 = (first_day + (days - unseen) * _DAY).astype("datetime64[h]") + HOUR
    return start


def _check_enough(count: int, config: SplitConfig) -> None:
    held_back = config.hidden_stations + config.hidden_cities + config.calibration_stations
    if held_back >= 1.0:
        raise ObservationsError(
            f"split.hidden_stations + split.hidden_cities + split.calibration_stations = {held_back:g} leaves no "
            "station to train on: their sum must stay below 1"
        )
    needed = MIN_TRAINING_STATIONS
    while needed - sum(_share(s, needed) for s in _shares(config)) < MIN_TRAINING_STATIONS:
        needed += 1
    if count < needed:
        raise ObservationsError(
            f"{count} stations are too few for this split: at least {needed} are needed, so that "
            f"{MIN_TRAINING_STATIONS} remain to train on; bring more stations or lower the shares under split"
        )


def _shares(config: SplitConfig) -> tuple[float, float, float]:
    return config.hidden_cities, config.hidden_stations, config.calibration_stations


def _share(share: float, count: int) -> int:
    return max(1, round(share * count)) if share > 0 else 0


def _cities(
    stations: npt.NDArray[np.str_],
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    named: Sequence[str | None] | None,
    config: SplitConfig,
) -> tuple[list[str], float]:
    """Return a city's name for each station (sorted by id), and the distance that joined those without one."""
    names = [
        str(n) if n is not None and str(n).strip() not in {"", "nan"} else "" for n in named or [""] * len(stations)
    ]
    without = np.array([not n for n in names])
    if not without.any():
        return names, float(config.cluster_km)
    wanted = _share(config.hidden_cities, len(stations))
    km = float(config.cluster_km)
    while True:
        filled = list(names)
        for i, name in zip(
            np.flatnonzero(without), clusters(stations[without], lat[without], lon[without], km), strict=True
        ):
            filled[i] = name
        smallest = pd.Series(filled).value_counts().min()
        # One chain of stations can join a whole region; only a cluster that _draw_cities would take is of use.
        if not wanted or smallest <= 2 * wanted - 1:
            return filled, km
        if km / 2 < _SMALLEST_CLUSTER_KM:
            raise ObservationsError(
                f"the {len(stations)} stations stand so close that no cluster of them can be hidden whole, even at "
                f"{km:g} km: name their cities (columns.city) or set split.hidden_cities=0"
            )
        km /= 2


def clusters(
    stations: Sequence[str] | npt.NDArray[np.str_],
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    km: float,
) -> list[str]:
    """Return the cluster of each station, named after its first station: ``cluster-<id>``.

    Single linkage on the great circle (DBSCAN with one point a core), so that any two clusters are at least `km`
    apart: a cluster that is hidden leaves nobody in sight nearer than that.
    """
    places = np.radians(np.column_stack([lat, lon]))
    labels = DBSCAN(eps=km / EARTH_RADIUS_KM, min_samples=1, metric="haversine", algorithm="ball_tree").fit_predict(
        places
    )
    first = {label: min(str(s) for s, k in zip(stations, labels, strict=True) if k == label) for label in set(labels)}
    return [f"cluster-{first[label]}" for label in labels]


def town_numbers(lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the number of each station's town, from 0 on (station,): a cluster by `TOWN_KM`."""
    names = clusters([str(i).zfill(6) for i in range(len(lat))], lat, lon, TOWN_KM)
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _draw_roles(city: npt.NDArray[np.str_], config: SplitConfig) -> npt.NDArray[np.str_]:
    """Return the roles of stations sorted by id; every role has a random stream of its own."""
    count = len(city)
    role = np.full(count, TRAINING, dtype=f"<U{max(map(len, ROLES))}")
    streams = [np.random.default_rng([config.seed, i]) for i in range(4)]
    hidden_cities = _share(config.hidden_cities, count)
    role[_draw_cities(city, role == TRAINING, hidden_cities, streams[0])] = HIDDEN_CITY
    calibration = _share(config.calibration_stations, count)
    role[_draw_cities(city, role == TRAINING, calibration // 2, streams[1])] = CALIBRATION
    single = calibration - int(np.count_nonzero(role == CALIBRATION))
    for wanted, name, rng in (
        (_share(config.hidden_stations, count), HIDDEN_TENTH, streams[2]),
        (single, CALIBRATION, streams[3]),
    ):
        free = np.flatnonzero(role == TRAINING)
        role[rng.permutation(free)[: max(0, wanted)]] = name
    return role


def _draw_cities(
    city: npt.NDArray[np.str_], free: npt.NDArray[np.bool_], wanted: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return the stations of whole cities, shape (station,), drawn until their number is nearest to `wanted`."""
    drawn = np.zeros(len(city), dtype=bool)
    for name in rng.permutation(_unique(city[free])):
        members = city == name
        have, more = int(drawn.sum()), int(members.sum())
        # A city is taken only where it brings the number nearer, so one giant cannot swallow the network.
        if abs(have + more - wanted) < abs(have - wanted):
            drawn |= members
    return drawn


def _unique(names: Iterable[str]) -> list[str]:
    return sorted({str(n) for n in names})
