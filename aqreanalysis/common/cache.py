"""What was made once and may be asked for again, as much of it as fits into some bytes; any number of threads ask."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


class BoundedCache(Generic[Value]):
    """Values by key, of at most `limit_bytes` together.

    A value that finds no room takes that of the one asked for longest ago if that is stale: if since then more than
    `stale` times as many values as are held were asked for. Whoever goes round the same keys again and again, as tiles
    do, finds some of them although not all fit; if simply the oldest went, each would go just before its next turn.

    Parameters
    ----------
    limit_bytes : int
        Bound on the bytes of what is held, as `array_bytes` counts them.
    stale : float
        0 lets the oldest go at once; infinity, the default, keeps what is in.

    Notes
    -----
    A copy in another process (a pickle) begins empty.
    """

    def __init__(self, limit_bytes: int, stale: float = math.inf) -> None:
        self.limit_bytes = limit_bytes
        self.stale = stale
        self._values: OrderedDict[Hashable, tuple[Value, int, int]] = OrderedDict()  # value, bytes, when asked for
        self._bytes = 0
        self._asked = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How much is held."""
        return self._bytes

    @property
    def count(self) -> int:
        """How many values are held."""
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, which `make` gives if it is not here."""
        return self.get_all([key], lambda _: {key: make()})[key]

    def get_all(self, keys: Sequence[Key], make: Callable[[list[Key]], Mapping[Key, Value]]) -> dict[Key, Value]:
        """Return the values of `keys`; `make` gives those that are not here, all at once."""
        values = {}
        with self._lock:
            for key in keys:
                self._asked += 1
                if key in self._values:
                    value, size, _ = self._values.pop(key)
                    self._values[key] = value, size, self._asked  # at the end: the one asked for last
                    values[key] = value
        missing = [key for key in keys if key not in values]
        if not missing:
            return values
        made = make(missing)  # outside of the lock: two threads may make one value at once, which harms nothing
        with self._lock:
            for key in missing:
                values[key] = made[key]
                size = array_bytes(made[key])
                if key not in self._values and self._find_room(size):
                    self._values[key] = made[key], size, self._asked
                    self._bytes += size
        return values

    def _find_room(self, size: int) -> bool:
        """Drop stale values while `size` bytes are not free; return whether they are."""
        if size > self.limit_bytes:
            return False
        while self._bytes + size > self.limit_bytes:
            oldest, (_, freed, asked) = next(iter(self._values.items()))
            if self._asked - asked <= self.stale * len(self._values):
                return False
            del self._values[oldest]
            self._bytes -= freed
        return True

    def __getstate__(self) -> tuple[int, float]:
        """Return what a copy in another process is made of."""
        return self.limit_bytes, self.stale

    def __setstate__(self, state: tuple[int, float]) -> None:
        """Begin empty."""
        BoundedCache.__init__(self, *state)


def array_bytes(thing: object) -> int:
    """Return the bytes of the arrays and tensors that an object holds, in containers and attributes at any depth."""
    size = getattr(thing, "nbytes", None)
    if isinstance(size, int):
        return size
    if isinstance(thing, dict):
        return sum(array_bytes(v) for v in thing.values())
    if isinstance(thing, list | tuple):
        return sum(array_bytes(v) for v in thing)
    return sum(array_bytes(v) for v in vars(thing).values()) if hasattr(thing, "__dict__") else 0
