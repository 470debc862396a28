# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress bars, tables and warnings for people; plain text where rich is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar('Item')


def warn(text: str) -> None:
    """Write a warning to stderr."""
    print(f'ivif: warning: {text}', file=sys.stderr)


def progress(items: Iterable[Item], label: str, total: float | None = None) -> Iterator[Item]:
    """Yield items and show how many of them are done on a terminal's stderr; else show nothing.

    Args:
        items: what to work on.
        label: one or two words in front of the bar.
        total: number of items; None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich import progress as parts
        from rich.console import Console
    except ImportError:
        yield from _plain_progress(items, label, total)
        return
    columns = (parts.TextColumn('{task.description}'), parts.BarColumn(),
               parts.MofNCompleteColumn(), parts.TimeElapsedColumn(), parts.TimeRemainingColumn())
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total=total, description=label)


def _plain_progress(items: Iterable[Item], label: str, total: float | None) -> Iterator[Item]:
    of_total = '' if total is None else f'/{total:g}'
    for done, item in enumerate(items):
        print(f'\r{label} {done}{of_total}', end='', file=sys.stderr, flush=True)
        yield item
    print('\r' + ' ' * 60 + '\r', end='', file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout; the first column is left aligned, the others right."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _plain_table(title, columns, rows)
        return
    grid = Table(title=title, title_justify='left')
    for index, column in enumerate(columns):
        grid.add_column(column, justify='right' if index else 'left', overflow='fold')
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, markup=False).print(grid)


def _plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    print(title)
    for row in (columns, *rows):
        words = (word.rjust(width) if index else word.ljust(width)
                 for index, (word, width) in enumerate(zip(row, widths, strict=True)))
        print('  '.join(words).rstrip())
