"""A cache holds what fits into its bytes, finds it again, and gives the room of what is no longer asked for."""

from __future__ import annotations

import pickle
import threading

import numpy as np

from aqreanalysis.common.cache import BoundedCache, array_bytes


def _made_in_rounds(cache: BoundedCache[np.ndarray], keys: range, rounds: int) -> list[int]:
    """Ask for values of 100 bytes round and round; return how many had to be made in each round."""
    made = []
    for _ in range(rounds):
        before = len(made)
        for key in keys:

            def make(key: int = key) -> np.ndarray:
                made.append(key)
                return np.full(25, key, np.float32)

            assert cache.get(key, make)[3] == key
            assert cache.bytes <= cache.limit_bytes and cache.bytes == 100 * cache.count
        made.append(-1)
        made[before:] = [len(made) - before - 1]
    return made


def test_what_fits_is_made_once_and_half_of_what_is_twice_as_much() -> None:
    assert _made_in_rounds(BoundedCache(1000, stale=4), range(10), 3) == [10, 0, 0]
    assert _made_in_rounds(BoundedCache(1000, stale=4), range(20), 3) == [20, 10, 10]


def test_other_keys_get_the_room_of_stale_ones() -> None:
    cache: BoundedCache[np.ndarray] = BoundedCache(1000, stale=4)
    _made_in_rounds(cache, range(10), 2)
    assert _made_in_rounds(cache, range(100, 110), 10)[-1] == 0


def test_by_default_what_is_in_stays_in_and_with_none_stale_the_oldest_goes() -> None:
    cache: BoundedCache[np.ndarray] = BoundedCache(1000)
    assert _made_in_rounds(cache, range(10), 1) == [10]
    assert _made_in_rounds(cache, range(100, 110), 10)[-1] == 10 and _made_in_rounds(cache, range(10), 1) == [0]
    recent: BoundedCache[np.ndarray] = BoundedCache(1000, stale=0)
    assert _made_in_rounds(recent, range(10), 1) == [10]
    assert _made_in_rounds(recent, range(5, 15), 2) == [5, 0]


def test_a_value_larger_than_all_room_is_not_held_and_drives_nothing_out() -> None:
    cache: BoundedCache[np.ndarray] = BoundedCache(100, stale=0)
    cache.get("small", lambda: np.zeros(25, np.float32))
    assert cache.get("large", lambda: np.zeros(26, np.float32)).size == 26
    assert cache.count == 1 and cache.bytes == 100


def test_arrays_inside_objects_count() -> None:
    class Held:
        def __init__(self) -> None:
            self.parts = [np.zeros(10), {"a": np.zeros(10)}]

    assert array_bytes(Held()) == 160
    cache: BoundedCache[Held] = BoundedCache(100)
    assert cache.get(1, Held) is not cache.get(1, Held), "160 bytes were held in 100"


def test_a_pickle_begins_empty_with_the_same_bounds() -> None:
    cache: BoundedCache[np.ndarray] = BoundedCache(1000, stale=4)
    cache.get(1, lambda: np.zeros(10))
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.count, copy.bytes, copy.limit_bytes, copy.stale) == (0, 0, 1000, 4)
    assert copy.get(1, lambda: np.ones(10)).sum() == 10


def test_threads_that_ask_at_once_all_get_their_value_and_the_count_of_bytes_holds() -> None:
    cache: BoundedCache[np.ndarray] = BoundedCache(2000, stale=1)
    wrong = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        keys = rng.integers(0, 30, 2000).tolist()
        wrong.extend(k for k in keys if cache.get(k, lambda k=k: np.full(25, k, np.float32))[0] != k)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and cache.bytes == 100 * cache.count <= 2000
