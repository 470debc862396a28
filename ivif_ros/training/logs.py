# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run tells: CSV files, TensorBoard, and a bar or a line now and then for people."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ivif_ros.errors import OutputError
from ivif_ros.training.checkpoint import write_atomically
from ivif_ros.types import Array

Row = Mapping[str, float]


class CsvLog:
    """A CSV file that grows by rows; its columns are those of all rows so far."""

    def __init__(self, path: Path, first_step: int = 0) -> None:
        """Open or make the file.

        Args:
            path: CSV file with a column `step`.
            first_step: rows of later steps, which an interrupted run has left, are dropped.
        """
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._columns: list[str] = []
        if path.is_file():
            with open(path, newline='', encoding='utf-8') as file:
                reader = csv.DictReader(file)
                self._rows = [row for row in reader if int(row['step']) <= first_step]
                self._columns = list(reader.fieldnames or ())
            self._write_all()

    def add(self, row: Row) -> None:
        """Append a row; numbers get six significant digits.

        Raises:
            OutputError: the file cannot be written.
        """
        texts = {name: f'{value:.6g}' if isinstance(value, float) else str(value)
                 for name, value in row.items()}
        self._rows.append(texts)
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._write_all()
            return
        try:
            with open(self._path, 'a', newline='', encoding='utf-8') as file:
                csv.DictWriter(file, self._columns).writerow(texts)
        except OSError as error:
            raise OutputError(f"'{self._path}' cannot be written: {error.strerror}") from error

    def _write_all(self) -> None:
        def write(part: Path) -> None:
            with open(part, 'w', newline='', encoding='utf-8') as file:
                writer = csv.DictWriter(file, self._columns)
                writer.writeheader()
                writer.writerows(self._rows)

        write_atomically(self._path, write)


class TensorBoard:
    """Scalars and pictures for TensorBoard; does nothing where that is not installed."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        """Open the folder; what it has of later steps is hidden."""
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(  # type: ignore[no-untyped-call]
            str(folder), purge_step=first_step + 1)

    def scalars(self, kind: str, row: Row, step: int) -> None:
        """Add the values of a row as `kind/name`."""
        if self._writer is not None:
            for name, value in row.items():
                if name != 'step':
                    self._writer.add_scalar(f'{kind}/{name}', value, step)

    def picture(self, name: str, image: Array, step: int) -> None:
        """Add a grey image (H, W) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats='HW')

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


class Progress:
    """Shows a bar on a terminal, else writes one line every some seconds."""

    def __init__(self, label: str, first: int, total: int, every_s: float = 30.0,
                 stream: TextIO | None = None) -> None:
        """Start at a step.

        Args:
            label: one word.
            first: steps done before.
            total: steps of the whole run.
            every_s: seconds between two lines where there is no terminal.
            stream: where to write; stderr by default.
        """
        self._stream = stream or sys.stderr
        self._label, self._total = label, total
        self._every_s = every_s
        self._start = self._said = time.monotonic()
        self._first = first
        self._bar: Any = None
        if self._stream.isatty():
            from rich import progress as parts
            from rich.console import Console

            columns = (
                parts.TextColumn('{task.description}'), parts.BarColumn(),
                parts.MofNCompleteColumn(), parts.TimeElapsedColumn(),
                parts.TimeRemainingColumn(), parts.TextColumn('{task.fields[note]}'))
            self._bar = parts.Progress(*columns, console=Console(file=self._stream))
            self._task = self._bar.add_task(label, total=total, completed=first, note='')
            self._bar.start()

    def show(self, step: int, note: str) -> None:
        """Say how many steps are done, with a few words."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, note=note)
            return
        now = time.monotonic()
        if now - self._said < self._every_s or step == self._first:
            return
        self._said = now
        left = (now - self._start) / (step - self._first) * (self._total - step)
        self.say(f'{self._label} {step}/{self._total}, about {left / 60:.0f} min left, {note}')

    def say(self, text: str) -> None:
        """Write a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
