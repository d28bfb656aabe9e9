"""Decoded maps that are kept for a while: the tiles of a block ask for the same ones, one tile after another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

# Bytes that are kept, in each process. A block of a week of seven fields of ERA5 takes some 5 kB a grid point, so those
# of a continent fit; of a larger grid as many maps are kept as fit.
KEPT_BYTES = 256 << 20
# A map goes for another when so many times as many maps as are kept were asked for since it was. Tiles go round the
# maps of a block again and again: if simply the oldest went, and one map more than fits were asked for, none would ever
# be found.
_STALE = 4


class KeptMaps:
    """Maps by key, at most `KEPT_BYTES` of them; see `_STALE` for which."""

    def __init__(self) -> None:
        self._maps: OrderedDict[Hashable, tuple[NDArray[np.float32], int]] = OrderedDict()
        self._bytes = 0
        self._asked = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, decode: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the map `key`, which `decode` gives if it is not here; read-only."""
        with self._lock:
            self._asked += 1
            if key in self._maps:
                found = self._maps.pop(key)[0]
                self._maps[key] = found, self._asked  # at the end: the one that was asked for last
                return found
        made = decode()  # outside of the lock: two threads may decode one map at once, which harms nothing
        made.flags.writeable = False
        with self._lock:
            if key not in self._maps and self._make_room(made.nbytes):
                self._maps[key] = made, self._asked
                self._bytes += made.nbytes
        return made

    def _make_room(self, size: int) -> bool:
        """Drop maps that are no longer asked for; return whether `size` bytes are free."""
        while self._maps and self._bytes + size > KEPT_BYTES:
            oldest = next(iter(self._maps))
            if self._asked - self._maps[oldest][1] <= _STALE * len(self._maps):
                return False
            self._bytes -= self._maps.pop(oldest)[0].nbytes
        return self._bytes + size <= KEPT_BYTES
