"""stats.py - what a row of measurements says: medians, an interval, and whether a goal is reached.

Pure functions of lists of numbers. Runs come in pairs (one of drctl, one of what it is compared with, close
in time), so the interval is a paired bootstrap: draw pairs with replacement, take the ratio of medians,
many times, and cut five percent from each end. The seed is fixed: the same measurements give the same words.
"""
import random

RESAMPLES = 4000
LEVEL = 0.90
SLACK = 1.05


def median(values):
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ratio(ours, theirs):
    """The ratio of medians; without THEIRS the median itself."""
    if theirs is None:
        return median(ours)
    below = median(theirs)
    return median(ours) / below if below > 0 else float("inf")


def interval(ours, theirs=None, resamples=RESAMPLES, seed=1, level=LEVEL):
    """The bootstrap interval of ratio(ours, theirs): (low, high)."""
    lot = random.Random(seed)
    count = len(ours)
    if theirs is not None and len(theirs) != count:
        raise ValueError("the runs are not pairs")
    drawn = []
    for _ in range(resamples):
        picked = [int(lot.random() * count) for _ in range(count)]
        drawn.append(ratio([ours[i] for i in picked],
                           None if theirs is None else [theirs[i] for i in picked]))
    drawn.sort()
    cut = int((1 - level) / 2 * resamples)
    return drawn[cut], drawn[resamples - 1 - cut]


def reached(high, goal):
    """The rule of decision: the upper end of the interval is at most 1.05 times the goal."""
    return high <= SLACK * goal


def verdict(value, high, goal, unit="x"):
    """The rule in words."""
    if reached(high, goal):
        return "reached"
    if value <= goal:
        return f"not reached: up to {amount(high, unit)} instead of {amount(goal, unit)}"
    return f"not reached: {amount(value, unit)} instead of {amount(goal, unit)}"


def amount(value, unit):
    """A number with three digits and its unit."""
    return f"{value:.3g}{unit}" if value < 100 else f"{value:.0f}{unit}"
