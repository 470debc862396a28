# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures, durations and counts as a report prints them, in plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

MISSING = '\N{EN DASH}'
"""Stands where a figure is missing."""
STAGES = ('sync', 'thermal', 'registration', 'warp', 'fusion', 'detection', 'publish', 'total')
"""Stages in the order in which a pair passes them."""


def finite(value: float | None) -> float | None:
    """Return a number that can be drawn, None for anything else."""
    return None if value is None or not math.isfinite(value) else float(value)


def decimals(values: Iterable[float | None]) -> int:
    """Choose decimals that give the largest of the values three digits, or three decimals."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)),
                  default=0.0)
    return sum(largest < limit for limit in (1.2, 10, 100))


def number(value: float | None, places: int = 2) -> str:
    """Print a number, or MISSING."""
    value = finite(value)
    if value is None:
        return MISSING
    # Adding 0 makes 0 of what rounds to -0.
    return f'{round(value, places) + 0.0:,.{places}f}'.replace('-', '\N{MINUS SIGN}')


def milliseconds(value: float | None) -> str:
    """Print a time in milliseconds with the digits that matter."""
    value = finite(value)
    if value is None:
        return MISSING
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def interval(low: float | None, high: float | None, places: int) -> str:
    """Print a 95 % interval, or nothing where there is none."""
    low, high = finite(low), finite(high)
    if low is None or high is None:
        return ''
    joint = '\N{EN DASH}' if low >= 0 else ' to '
    return f'{number(low, places)}{joint}{number(high, places)}'


def count(n: int, noun: str, plural: str = '') -> str:
    """Print `1 pair`, `1,204 pairs`."""
    return f'{n:,} {noun if n == 1 else plural or noun + "s"}'


def ordinal(n: int) -> str:
    """Print `2nd`, `10th`."""
    ending = 'th' if n // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')
    return f'{n}{ending}'


def percent(part: float, whole: float) -> str:
    """Print a share; what is not nothing does not read 0 %, what is not all not 100 %."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return '< 0.1 %'
    if 99.9 < share < 100:
        return '> 99.9 %'
    return f'{share:.0f} %' if share in (0, 100) or share >= 10 else f'{share:.1f} %'


def duration(seconds: float) -> str:
    """Print `12.3 s`, `4 min 5 s` or `2 h 3 min`."""
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest} s'
    return f'{minutes // 60} h {minutes % 60} min'


def date(text: str) -> str:
    """Print an ISO 8601 time as people write it; other text as it is."""
    try:
        return f'{datetime.fromisoformat(text):%d %B %Y, %H:%M}'.lstrip('0')
    except ValueError:
        return text


def listed(names: Sequence[str], joint: str = 'and', most: int = 4) -> str:
    """Print `a, b and c`; past `most` names `a, b, c and 7 more`."""
    if len(names) > most:
        names = [*names[:most - 1], f'{len(names) - most + 1} more']
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} {joint} {names[-1]}'


def words(name: str) -> str:
    """Print an identifier such as `rgb_only` as words."""
    return name.replace('_', ' ').replace('.', ': ').replace('rgb', 'RGB')


def in_stage_order(stages: Iterable[str]) -> list[str]:
    """Sort stages as a pair passes them; unknown ones follow."""
    return sorted(stages, key=lambda stage: (
        STAGES.index(stage) if stage in STAGES else len(STAGES), stage))
