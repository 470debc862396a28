# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress bars, tables and warnings for people; plain text where rich is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar('Item')

_FILE_WIDTH = 120
"""Characters of a table that does not go to a terminal."""


def warn(text: str) -> None:
    """Write a warning to stderr."""
    print(f'ivif: warning: {text}', file=sys.stderr)


@contextmanager
def progress_bar(label: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Show a bar on a terminal's stderr while the block runs; elsewhere show nothing.

    Args:
        label: one or two words in front of the bar.
        total: what done will be in the end; None where nobody knows.

    Yields:
        Function to call with what is done so far.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    try:
        from rich import progress as parts
        from rich.console import Console
    except ImportError:
        of_total = '' if total is None else f'/{total:.0f}'
        yield lambda done: print(
            f'\r{label} {done:.0f}{of_total} ', end='', file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return
    columns = (parts.TextColumn('{task.description}'), parts.BarColumn(),
               parts.MofNCompleteColumn(), parts.TimeElapsedColumn(), parts.TimeRemainingColumn())
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


def progress(items: Sequence[Item], label: str) -> Iterator[Item]:
    """Yield items and show how many of them are done."""
    with progress_bar(label, len(items)) as show:
        for done, item in enumerate(items):
            show(done)
            yield item


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *,
          words: bool = False) -> None:
    """Print a table to stdout.

    Args:
        title: what stands above it.
        columns: headings.
        rows: texts.
        words: columns hold words and are left aligned; else the first one is, the others, numbers,
            are right aligned.
    """
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _plain_table(title, columns, rows, words)
        return
    grid = Table()
    for index, column in enumerate(columns):
        right = index and not words
        grid.add_column(column, justify='right' if right else 'left', overflow='fold')
    for row in rows:
        grid.add_row(*row)
    print(title)
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    Console(highlight=False, markup=False, width=width).print(grid)


def _plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]],
                 words: bool) -> None:
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    print(title)
    for row in (columns, *rows):
        cells = (word.rjust(width) if index and not words else word.ljust(width)
                 for index, (word, width) in enumerate(zip(row, widths, strict=True)))
        print('  '.join(cells).rstrip())
