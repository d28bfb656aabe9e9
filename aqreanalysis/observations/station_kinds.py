"""Kinds of stations and of networks: the words that networks write, and what they mean here.

The words are those of the EEA (2011/850/EU: background, traffic, industrial), of the US AQS (dominant source,
measurement scale, monitoring objective), of London (kerbside, roadside), of UK-AIR and openair (urban traffic, rural
background ...), and the same in the languages in which national lists are published.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from aqreanalysis.observations.column_names import plain

BACKGROUND, TRAFFIC, INDUSTRIAL = "background", "traffic", "industrial"
KINDS = (BACKGROUND, TRAFFIC, INDUSTRIAL)
REFERENCE, LOW_COST = "reference", "low-cost"

# Parts of words, as `_bare` writes them; a text is of the first kind of which it holds one. What says where a station
# stands and not what it stands beside (urban, rural ...) is background, and so comes last: "urban traffic" is traffic.
_TRAFFIC = "traffic kerb curb roadside nearroad street microscale mobile verkehr trafic trafego verkeer trafik liikenne"
_TRAFFIC += " komunikacyj doprav kozlekedes ulica 交通 自排 自動車 도로변"
_INDUSTRIAL = "industr przemysl prumysl priemysel ipari teollisuus sourceoriented fabrik 工业 工業 산업"
_BACKGROUND = (
    "background hintergrund fond fundo achtergrond baggrund bakgrunn bakgrund tausta tlo tla pozadi hatter 背景"
)
_BACKGROUND += (
    " バックグラウンド 一般 배경 urban rural remote regional neighbo residential citycentre populationexposure"
)
_BACKGROUND += " area country park stadt land urbain periurb 도시 교외"
_WORDS = {TRAFFIC: _TRAFFIC.split(), INDUSTRIAL: _INDUSTRIAL.split(), BACKGROUND: _BACKGROUND.split()}
# Texts that stand alone: letters of national lists, and the sources of AQS.
_CODES = {"t": TRAFFIC, "i": INDUSTRIAL, "b": BACKGROUND, "f": BACKGROUND, "ub": BACKGROUND, "rb": BACKGROUND}
_CODES |= {"ut": TRAFFIC, "ui": INDUSTRIAL, "sb": BACKGROUND, "st": TRAFFIC, "si": INDUSTRIAL, "point": INDUSTRIAL}
# Networks of cheap sensors, and what such devices are called in lists that name a type instead of a network.
_CHEAP = "lowcost purpleair sensorcommunity luftdaten sensebox airbeam clarity airgradient citizen burger"
_CHEAP += " citoyen ciudadan microsensor minisensor airly aqmesh sds011 plantower"


def kind_of(text: str) -> str | None:
    """Return the kind (`KINDS`) that a network's word for a station means; None where it says nothing known.

    Examples
    --------
    >>> kind_of("Urban Traffic"), kind_of("Kerbside"), kind_of("fondo"), kind_of("Industriel"), kind_of("tower")
    ('traffic', 'traffic', 'background', 'industrial', None)
    """
    word = _bare(text)
    if word in _CODES:
        return _CODES[word]
    return next((kind for kind, parts in _WORDS.items() if any(part in word for part in parts)), None)


def is_low_cost(network: str) -> bool:
    """Return whether the name of a network says that its sensors are cheap ones.

    Examples
    --------
    >>> is_low_cost("low-cost"), is_low_cost("PurpleAir"), is_low_cost("AURN"), is_low_cost("")
    (True, True, False, False)
    """
    word = _bare(network)
    return any(part in word for part in _CHEAP.split())


def kinds_of(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the kind of each text, an empty one where it says nothing known, and the texts that said nothing."""
    kinds, unknown = [], set()
    for text in texts:
        kind = kind_of(text) if text.strip() else None
        kinds.append(kind or "")
        if text.strip() and kind is None:
            unknown.add(text.strip())
    return kinds, sorted(unknown)


def _bare(text: str) -> str:
    """Return a text as `plain` writes it, without the accents of Latin letters: some lists spell them, some do not."""
    parts = unicodedata.normalize("NFD", plain(text).replace("ł", "l"))
    return unicodedata.normalize("NFC", "".join(part for part in parts if not "\u0300" <= part <= "\u036f"))
