"""Smooth random fields in space and time that can be asked at any hour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]

# Each part of the run draws from a stream of its own, so that a longer run begins as a shorter one of the same seed
# does, and so that more stations do not change the weather.
STREAMS = {
    "layout": 1,
    "weather": 2,
    "inflow": 3,
    "activity": 4,
    "network": 5,
    "instruments": 6,
    "faults": 7,
    "background activity": 8,
    "background inflow": 9,
    "sites": 10,
    "sensors": 11,
}


def stream(seed: int, part: str, number: int = 0) -> np.random.Generator:
    """Return the generator of one part of the run (a key of `STREAMS`) for a seed; `number` tells draws apart."""
    return np.random.default_rng([seed, STREAMS[part], number])


class RandomField:
    """A Gaussian random field of mean 0 and variance 1 at fixed places, as a sum of plane waves.

    The wave numbers are normal with a spread that varies from wave to wave (so large and small structures both occur),
    the frequencies Cauchy, which gives a correlation in time of about exp(-lag / `hours`) (random Fourier features:
    Rahimi and Recht, 2007).

    Parameters
    ----------
    rng : Generator
    places : tuple of ndarray, each of shape (place,)
        Km east and north.
    km, hours : float
        Correlation length and time, about.
    """

    _WAVES = 64

    def __init__(
        self, rng: np.random.Generator, places: tuple[FloatArray, FloatArray], km: float, hours: float = np.inf
    ) -> None:
        n = self._WAVES
        self.waves = rng.normal(size=(n, 2)) * np.exp(rng.normal(0.0, 0.5, (n, 1))) / km
        # Waves of a few hours would be noise at hourly sampling; the tail of the draw is folded back below that.
        self._frequencies = 2 * np.pi / 8 * np.tanh(rng.standard_cauchy(n) / hours / (2 * np.pi / 8))
        space = places[0][:, None] * self.waves[:, 0] + places[1][:, None] * self.waves[:, 1]
        space += rng.uniform(0, 2 * np.pi, n)
        # cos(a - b) = cos a cos b + sin a sin b turns hours x places x waves cosines into one matrix product. Single
        # precision: these are random numbers, and it halves the time.
        self._space = np.concatenate([np.cos(space), np.sin(space)], axis=1).T.astype(np.float32)

    def at(self, hours: FloatArray) -> FloatArray:
        """Return the field at `hours`, shape (hour, place)."""
        return self._sum(hours, np.ones(self._WAVES), 0.0)

    def gradient(self, hours: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives along x and y, per km, each of shape (hour, place)."""
        # The derivative of cos is cos a quarter turn ahead.
        east, north = (self._sum(hours, self.waves[:, axis], np.pi / 2) for axis in (0, 1))
        return east, north

    def _sum(self, hours: FloatArray, weights: FloatArray, ahead: float) -> FloatArray:
        time = hours[:, None] * self._frequencies - ahead
        amplitude = weights * np.sqrt(2.0 / self._WAVES)
        waves = np.concatenate([np.cos(time) * amplitude, np.sin(time) * amplitude], axis=1)
        return waves.astype(np.float32) @ self._space
