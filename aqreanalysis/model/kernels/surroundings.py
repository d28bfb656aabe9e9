"""Covariates of places: learned averages along the hours, and what a regression on them says."""

from __future__ import annotations

import numpy as np

from aqreanalysis.model.kernels.numba_setup import ONE, ZERO, Array, compiled_in_order, exp

# What is known of an average's weight at least: as in `CovariateEffects.describe`.
_LEAST_KNOWN = np.float32(0.05)
# And in `CovariateEffects.drift_of`.
_MOST_TAKEN = np.float32(0.9)


@compiled_in_order
def _along(series: Array, weights: Array, out: Array) -> None:
    """Fill the sums (hour,) of a series (hour + taps - 1,) by `weights` (taps,), each in the order of the taps."""
    hours, taps = out.size, weights.size
    out[:] = ZERO
    whole = taps - taps % 5
    for tap in range(0, whole, 5):
        a, b, c, d, e = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3], weights[tap + 4]
        one, two, three = (
            series[tap : tap + hours],
            series[tap + 1 : tap + 1 + hours],
            series[tap + 2 : tap + 2 + hours],
        )
        four, five = series[tap + 3 : tap + 3 + hours], series[tap + 4 : tap + 4 + hours]
        for h in range(hours):
            out[h] = ((((out[h] + a * one[h]) + b * two[h]) + c * three[h]) + d * four[h]) + e * five[h]
    for tap in range(whole, taps):
        a, one = weights[tap], series[tap : tap + hours]
        for h in range(hours):
            out[h] += a * one[h]


@compiled_in_order
def average_hours(series: Array, weights: Array, out: Array) -> None:
    """Fill averages over the hours around each hour, those that are known alone, and which hours are missing.

    Parameters
    ----------
    series : float32 (field, place, hour + taps - 1)
        NaN where missing.
    weights : float32 (field, average, taps)
    out : float32 (field * average or field * (average + 1), place, hour)
        Averages, and, where there is room, minus one for each field and hour that is missing, zero elsewhere.
    """
    fields, places, steps = series.shape
    averages, taps = weights.shape[1], weights.shape[2]
    hours = steps - taps + 1
    filled, known, weight = np.empty(steps, np.float32), np.empty(steps, np.float32), np.empty(hours, np.float32)
    with_missing = out.shape[0] > fields * averages
    for field in range(fields):
        for p in range(places):
            row, missing = series[field, p], 0
            for step in range(steps):
                if np.isnan(row[step]):
                    missing += 1
            if missing > 0:
                for step in range(steps):
                    gap = np.isnan(row[step])
                    filled[step] = ZERO if gap else row[step]
                    known[step] = ZERO if gap else ONE
            else:
                filled[:] = row
                known[:] = ONE
            for average in range(averages):
                into = out[field * averages + average, p]
                _along(filled, weights[field, average], into)
                # Of a whole series every hour has the same weight.
                if missing > 0:
                    _along(known, weights[field, average], weight)
                else:
                    _along(known[:taps], weights[field, average], weight[:1])
                    weight[:] = weight[0]
                for h in range(hours):
                    into[h] /= max(weight[h], _LEAST_KNOWN)
            if with_missing:
                into = out[fields * averages + field, p]
                for h in range(hours):
                    into[h] = known[taps // 2 + h] - ONE


@compiled_in_order
def add_drift(series: Array, table: Array, slopes: Array, constant: Array, out: Array) -> None:
    """Add what a regression on the fields of each hour says to `out` (place, hour).

    Parameters
    ----------
    series : float32 (field, place, hour + reach on either side)
        NaN where missing: such an hour counts as the field's mean, which is zero.
    table : float32 (6, field)
        The bounds between which the field counts, beyond which it stays at them; and, where it is a concentration that
        adds up with others, its amount, and the standard deviation, the mean and the offset of its logarithm. The
        amount is zero of all others.
    slopes : float32 (field + 1, 24)
        Of each field at each hour of a day, and last by how much the logarithm of one and the sum of the concentrations
        counts.
    constant : float32 (place, 24)
        What the fields that do not change say.
    out : float32 (place, hour)
        Whole days.
    """
    places, hours = out.shape
    reach = (series.shape[2] - hours) // 2
    total, inside = np.empty(hours, np.float32), np.empty(hours, np.float32)
    for p in range(places):
        into = out[p]
        total[:] = ZERO
        adding = False
        for field in range(series.shape[0]):
            row = series[field, p, reach : reach + hours]
            low, high = table[0, field], table[1, field]
            amount, std, mean, offset = table[2, field], table[3, field], table[4, field], table[5, field]
            for h in range(hours):
                x = ZERO if np.isnan(row[h]) else row[h]
                inside[h] = max(min(x, high), low)
            for day in range(0, hours, 24):
                for h in range(24):
                    into[day + h] += slopes[field, h] * inside[day + h]
            if amount != ZERO:
                for h in range(hours):
                    total[h] += amount * max(exp(inside[h] * std + mean) - offset, ZERO)
                adding = True
        if adding:
            for h in range(hours):
                total[h] = np.log(ONE + max(total[h], -_MOST_TAKEN))
        for day in range(0, hours, 24):
            for h in range(24):
                into[day + h] += slopes[-1, h] * total[day + h]
            for h in range(24):
                into[day + h] += constant[p, h]
