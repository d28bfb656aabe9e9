"""Readings of kerbs, works and cheap sensors, made what a background station would have read there.

One seam: `background_only` for whatever learns of background air, `learn_groups` once the scalings are known, and
`as_background` on a record before its readings reach a network. A record that tells no kind and no cheap network passes
all three as it is.

Why training sees background stations alone: an equivalent of background air is made with the help of the stations round
it, and one that was made with the help of a station that a step hides would tell the network what it is asked.
"""

from aqreanalysis.background_air.groups import background_only, choose_kinds, has_groups
from aqreanalysis.background_air.learning import learn_groups, learn_visible_groups
from aqreanalysis.background_air.record import as_background, knows_all

__all__ = [
    "as_background",
    "background_only",
    "choose_kinds",
    "has_groups",
    "knows_all",
    "learn_groups",
    "learn_visible_groups",
]
