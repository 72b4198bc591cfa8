"""Statistics shared by bench/ab and bench/compare: medians, quantiles, a bootstrap interval.

Only the standard library. Everything here is a pure function of its arguments.
"""

import random

BOOTSTRAP_RESAMPLES = 10000
BOOTSTRAP_SEED = 1


def median(values):
    """The median; the mean of the middle two when their number is even."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of no values")
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def quantile(ordered, share):
    """The quantile of sorted values, interpolated between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def bootstrap_interval(values, confidence=0.95, resamples=BOOTSTRAP_RESAMPLES, seed=BOOTSTRAP_SEED):
    """The percentile bootstrap interval of the median (Efron 1979), the same for the same input."""
    source = random.Random(seed)
    count = len(values)
    medians = sorted(median(source.choices(values, k=count)) for _ in range(resamples))
    outside = (1 - confidence) / 2
    return quantile(medians, outside), quantile(medians, 1 - outside)


def paired_ratios(first, second):
    """second / first, pair by pair: what drifts slowly on the machine cancels out."""
    if len(first) != len(second):
        raise ValueError("pairs need as many values on both sides")
    if any(value <= 0 for value in first):
        raise ValueError("a ratio needs values above zero")
    return [b / a for a, b in zip(first, second)]
