"""What the texts of a column of pollutants mean: names, and the numbers and addresses of published lists.

Numbers of five digits are the US EPA's and nobody else's; addresses of the EEA's vocabulary say whose they are. Shorter
numbers mean one pollutant in one list and another in the next, so ``columns.codes`` must say which list it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import pollutant_and_unit
from aqreanalysis.species import get_species

#: Name of a published list -> its numbers. The US EPA's: https://aqs.epa.gov/aqsweb/documents/codetables/parameters.html;
#: the EEA's: http://dd.eionet.europa.eu/vocabulary/aq/pollutant; Madrid's: magnitudes of its Integral System of Air
#: Quality; the Umweltbundesamt's: https://www.umweltbundesamt.de/api/air_data/v3/components/json.
CODES: Mapping[str, Mapping[str, str]] = {
    "aqs": {
        **{"88101": "pm25", "88502": "pm25", "81102": "pm10", "85101": "pm10"},
        **{"42401": "so2", "42602": "no2", "44201": "o3", "42101": "co"},
    },
    "eea": {"1": "so2", "5": "pm10", "6001": "pm25", "7": "o3", "8": "no2", "10": "co"},
    "madrid": {"1": "so2", "6": "co", "8": "no2", "9": "pm25", "10": "pm10", "14": "o3"},
    "uba": {"1": "pm10", "2": "co", "3": "o3", "4": "so2", "5": "no2", "9": "pm25"},
}
_ADDRESS = re.compile(r"^https?://\S*/vocabulary/aq/pollutant/(\d+)/?$")


def keys_of_texts(
    texts: Sequence[str], column: str, columns: ColumnsConfig, source: str, numbers: str | None = None
) -> dict[str, str]:
    """Return text -> key of `SPECIES` for those texts of a column that mean one of its pollutants.

    Parameters
    ----------
    texts : sequence of str
        The distinct texts.
    column : str
        Name of the column, for the message.
    columns : ColumnsConfig
        What ``columns.codes`` says counts most.
    source : str
        The file, for the message.
    numbers : str, optional
        The list of `CODES` whose numbers the format has.

    Raises
    ------
    ObservationsError
        A number stands in several lists, and nothing says which list it is.
    """
    codes = columns.codes
    listed = CODES[codes] if isinstance(codes, str) else CODES.get(numbers or "", {})
    own = {str(text): get_species(key).key for text, key in codes.items()} if isinstance(codes, dict) else {}
    keys: dict[str, str] = {}
    doubtful = []
    for text in texts:
        number = _ADDRESS.match(text)
        short = text.lstrip("0") if text.isdigit() else text
        key = own.get(text) or own.get(short) or listed.get(short) or pollutant_and_unit(text)[0]
        key = key or (CODES["eea"].get(number.group(1)) if number is not None else CODES["aqs"].get(text))
        if key is not None:
            keys[text] = key
        elif codes is None and numbers is None and any(short in numbered for numbered in CODES.values()):
            doubtful.append(text)
    if doubtful:
        raise ObservationsError(
            f"{source}: column {column!r} names pollutants by the numbers {', '.join(doubtful):.80}, of which lists "
            f"differ: say what they are with columns.codes={{'{doubtful[0]}': pm25, ...}}, or whose list it is with "
            f"columns.codes={likely_list(doubtful)} (known are {', '.join(CODES)})"
        )
    return keys


def likely_list(texts: Sequence[str]) -> str | None:
    """Return the list of `CODES` that has most of some numbers, of several the one of most people; None without any."""
    short = {text.lstrip("0") for text in texts if text.isdigit()}
    hits = {name: len(short & set(CODES[name])) for name in ("eea", "madrid", "uba")}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else None
