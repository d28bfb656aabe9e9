"""Which stations are of background air, which group the others are of, and which of them are to count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError, ObservationsError, nearest_hint
from aqreanalysis.observations import Observations
from aqreanalysis.observations.station_kinds import BACKGROUND, KINDS, LOW_COST, is_low_cost, kind_of

#: What `choose_kinds` takes: the kinds, cheap sensors, and that all stations count alike.
ALIKE = "alike"
CHOICES = (*KINDS, LOW_COST, ALIKE)


def group_of(kind: str, network: str) -> str:
    """Return the group that a station is of, an empty text for background air.

    Examples
    --------
    >>> group_of("", "AURN"), group_of("traffic", ""), group_of("background", "PurpleAir")
    ('', 'traffic', 'PurpleAir')
    """
    kind = "" if kind == BACKGROUND else kind
    return ", ".join(part for part in (network if is_low_cost(network) else "", kind) if part)


def groups_of(observations: Observations) -> NDArray[np.str_]:
    """Return the group of each station (station,), an empty text for background air."""
    nothing = [""] * len(observations.stations)
    kinds, networks = observations.kinds or nothing, observations.networks or nothing
    return np.array([group_of(*pair) for pair in zip(kinds, networks, strict=True)], dtype=np.str_)


def has_groups(observations: Observations) -> bool:
    """Return whether any station is not of background air."""
    return bool((groups_of(observations) != "").any())


def background_only(observations: Observations) -> Observations:
    """Return the stations of background air; the record itself where there are no others.

    Raises
    ------
    ObservationsError
        If no station is of background air.
    """
    groups = groups_of(observations)
    if (groups == "").all():
        return observations
    if (groups != "").all():
        raise ObservationsError(
            f"none of the {len(groups)} stations is of background air, which a map is of "
            f"({', '.join(np.unique(groups))}): bring background stations, or let all "
            f"count alike with --station-kinds {ALIKE}"
        )
    return observations.select(stations=np.array(observations.stations)[groups == ""].tolist())


def choose_kinds(observations: Observations, chosen: Sequence[str]) -> Observations:
    """Return the record with the stations that are to enter; as it is where nothing is chosen.

    Parameters
    ----------
    observations : Observations
        A record.
    chosen : sequence of str
        Of `CHOICES`, or other words for kinds (kerb ...). A station of no known kind is background. Where background is
        not chosen the others count alike; ``alike`` lets all stations count alike, whatever they are.

    Raises
    ------
    ConfigError
        If one is none of `CHOICES`.
    ObservationsError
        If no station is of the kinds that are chosen.
    """
    chosen = [word if word in CHOICES else kind_of(word) or word for word in chosen]
    for word in chosen:
        if word not in CHOICES:
            raise ConfigError(
                f"no kind of station {word!r}: there are {', '.join(CHOICES)}{nearest_hint(word, CHOICES)}"
            )
    if not chosen:
        return observations
    if ALIKE in chosen:
        return _without_labels(observations)
    nothing = [""] * len(observations.stations)
    kinds, networks = observations.kinds or nothing, observations.networks or nothing
    enters = [
        (kind or BACKGROUND) in chosen and (LOW_COST in chosen or not is_low_cost(network))
        for kind, network in zip(kinds, networks, strict=True)
    ]
    if LOW_COST in chosen and not set(chosen) & set(KINDS):
        enters = [is_low_cost(network) for network in networks]
    some = [station for station, one in zip(observations.stations, enters, strict=True) if one]
    if not some:
        raise ObservationsError(f"no station of kind {', '.join(chosen)} among {len(enters)}: choose others")
    record = observations if len(some) == len(enters) else observations.select(stations=some)
    return record if BACKGROUND in chosen else _without_labels(record)


def _without_labels(observations: Observations) -> Observations:
    if observations.kinds is None and observations.networks is None:
        return observations
    bare = Observations(observations.dataset.drop_vars(["kind", "network"], errors="ignore"), observations.report)
    bare.full_span = observations.full_span
    return bare
