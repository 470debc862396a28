# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Best one-to-one assignment of two ordered streams, and whether its first decision is final.

A pair whose stamps differ by d is worth `tolerance + 1 - d` (so that an exact tolerance still
counts, and two identical stamps pair at tolerance zero); a frame without partner is worth nothing.
The assignment with the largest total worth is found by dynamic programming over the two ordered
lists, like an edit distance. Crossing pairs never improve the sum of absolute differences on a
line, so keeping the order loses nothing. A total, rather than the largest number of pairs, keeps
one lost frame from shifting all pairs behind it by one period.
"""

from __future__ import annotations

from collections.abc import Sequence

Window = tuple[int, int | None]
"""First and last time at which further frames of a camera may come; None for no end."""

ALONE = -1
"""Partner of a frame that has none."""


def head_partner(
        rgb: Sequence[int], thermal: Sequence[int], tolerance: int,
        rgb_next: Window | None, thermal_next: Window | None) -> tuple[int, bool]:
    """Find the partner of the first RGB frame in the best assignment.

    Further frames can only join from the right, so a better assignment of the future is one of the
    best assignments of a prefix of `rgb` whose remaining frames find partners among later thermal
    frames, or the same with the cameras exchanged. The decision is certain when all prefixes that
    could win agree on it. What a remaining frame could gain is bounded by its distance to the
    window of the further frames.

    Args:
        rgb: times of waiting RGB frames, ascending, at least one.
        thermal: times of waiting thermal frames, ascending.
        tolerance: largest difference of a pair.
        rgb_next: when further RGB frames may come, or None for never.
        thermal_next: when further thermal frames may come, or None for never.

    Returns:
        Index into `thermal` or ALONE, and True where no further frame can change it.
    """
    worth = tolerance + 1
    row, heads = [0] * (len(thermal) + 1), [ALONE] * (len(thermal) + 1)
    column, column_heads = [0], [ALONE]
    for i, r in enumerate(rgb):
        above, heads_above = row, heads
        row, heads = [0], [ALONE if i == 0 else heads_above[0]]
        for j, t in enumerate(thermal):
            best, head = above[j + 1], ALONE if i == 0 else heads_above[j + 1]
            if row[j] > best:
                best, head = row[j], heads[j]
            matched = above[j] + worth - abs(t - r)
            if matched > best and abs(t - r) <= tolerance:
                best, head = matched, j if i == 0 else heads_above[j]
            row.append(best)
            heads.append(head)
        column.append(row[-1])
        column_heads.append(heads[-1])
    partner = heads[-1]
    certain = (
        _agree(rgb, column, column_heads, worth, thermal_next, undecided=True)
        and _agree(thermal, row, heads, worth, rgb_next, undecided=False))
    return partner, certain


def _agree(
        times: Sequence[int], totals: Sequence[int], heads: Sequence[int], worth: int,
        window: Window | None, *, undecided: bool) -> bool:
    """Tell whether all prefixes that could win give the first frame the same partner.

    Args:
        times: the frames of which a prefix is assigned among the present frames.
        totals: worth of the best assignment of each prefix, from the empty one to all.
        heads: partner of the first RGB frame in each.
        worth: worth of a perfect pair.
        window: when partners for the remaining frames may come.
        undecided: True where the empty prefix leaves the first RGB frame to the future.
    """
    if window is None:
        return True
    first, last = window
    hoped = 0
    leader = totals[-1]
    for k in range(len(times) - 1, -1, -1):
        away = max(first - times[k], 0)
        if last is not None:
            away = max(away, times[k] - last)
        hoped += max(worth - away, 0)
        if totals[k] + hoped > leader:
            leader = totals[k] + hoped
            if heads[k] != heads[-1] or (undecided and k == 0):
                return False
    return True
