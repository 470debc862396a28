# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of a report: which method is best in which metric, how sure that is, where, how fast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ivif_ros.evaluation.records import MODALITIES, Estimate, Summary
from ivif_ros.evaluation.report_text import (
    MISSING,
    decimals,
    finite,
    in_stage_order,
    interval,
    milliseconds,
    number,
)
from ivif_ros.metrics.catalogue import DETECTION, FUSION, REGISTRATION, VIDEO, Metric

LEADING = 'VIF'
"""Metric that ranks frames and speaks for a method: of the common ones it rewards noise least."""
MOST_CELLS = 4000
"""Cells of a table by recording up to which there is one for each metric."""
ALL_METHODS = 'all methods'
"""Row of what does not depend on the method."""
MODALITY_TITLES = {'rgb': 'RGB only', 'thermal': 'Thermal only', 'fused': 'Fused'}


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        text: the figure, or MISSING.
        interval: `0.41 to 0.45`, short, or empty.
        mark: `best`, `close` (its interval overlaps that of the best), or empty.
        dot: position of the figure between least and largest of its column, percent; None to draw
            nothing.
        left: position of the lower end of the interval.
        right: position of the upper end.
        n: number of pairs behind it.
    """

    text: str
    interval: str = ''
    mark: str = ''
    dot: float | None = None
    left: float = 0.0
    right: float = 0.0
    n: int = 0


@dataclass(frozen=True)
class Column:
    """A metric with its figures, one for each row of its table."""

    metric: Metric
    cells: list[Cell]
    lowest: str = ''
    highest: str = ''

    @property
    def arrow(self) -> str:
        """Point to where better is."""
        return {True: '↑', False: '↓', None: ''}[self.metric.higher_is_better]

    @property
    def direction(self) -> str:
        """Say where better is."""
        return {True: 'higher is better', False: 'lower is better',
                None: 'neither higher nor lower is better'}[self.metric.higher_is_better]


@dataclass(frozen=True)
class Table:
    """Rows of methods, recordings or cameras, with a column for each metric."""

    rows: list[str]
    columns: list[Column]

    @property
    def marked(self) -> bool:
        """Tell whether a figure is marked as the best."""
        return any(cell.mark for column in self.columns for cell in column.cells)


def fusion_table(summary: Summary) -> Table:
    """Return methods x fusion metrics, for those metrics that were measured."""
    return _estimates({name: method.metrics for name, method in summary.methods.items()}, FUSION)


def registration_table(summary: Summary) -> Table:
    """Return the metrics of the registration; one row where it was the same for all methods."""
    rows = {name: method.registration for name, method in summary.methods.items()}
    if len(rows) > 1 and all(row == next(iter(rows.values())) for row in rows.values()):
        rows = {ALL_METHODS: next(iter(rows.values()))}
    return _estimates(rows, REGISTRATION)


def flicker_table(summary: Summary) -> Table:
    """Return methods x figures of flicker, for those that the catalogue explains."""
    methods = list(summary.methods)
    columns = []
    for key, meaning in VIDEO.items():
        values = [(summary.methods[method].flicker or {}).get(key) for method in methods]
        if any(finite(value) is not None for value in values):
            columns.append(_plain(meaning, values))
    return Table(methods, columns)


def recording_tables(summary: Summary) -> list[tuple[Metric, list[tuple[str, list[Cell]]]]]:
    """Return for each metric the rows recording x method; the best of each row is marked.

    Of very many recordings there is a table of LEADING alone, for the size of the page.
    """
    tables = []
    few = len(summary.recordings) * len(summary.methods) <= MOST_CELLS
    for key, meaning in FUSION.items():
        if not few and key != LEADING:
            continue
        rows = {name: [recording.methods.get(method, {}).get(key) for method in summary.methods]
                for name, recording in summary.recordings.items()}
        values = [value for row in rows.values() for value in row]
        if any(finite(value) is not None for value in values):
            places = decimals(values)
            tables.append((meaning, [
                (name, _plain(meaning, row, places).cells) for name, row in rows.items()]))
    return tables


@dataclass(frozen=True)
class LatencyCell:
    """Percentiles of one stage of one method, in milliseconds as text."""

    p50: str
    p90: str
    p99: str


def latency_table(summary: Summary) -> tuple[list[str], list[tuple[str, list[LatencyCell]]]]:
    """Return the stages, and for each method the percentiles of each stage."""
    stages = in_stage_order({stage for method in summary.methods.values()
                             for stage in method.latency_ms})
    return stages, [
        (name, [LatencyCell(*(milliseconds(method.latency_ms.get(stage, {}).get(part))
                              for part in ('p50', 'p90', 'p99'))) for stage in stages])
        for name, method in summary.methods.items()]


def detection_table(detection: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Return cameras and methods x figures of detection.

    What is found in the images of one camera does not depend on the fusion method; where the
    figures of all methods agree, it is one row.
    """
    rows = _detection_rows(detection)
    columns = []
    for key, meaning in DETECTION.items():
        values = [_scalar(figures.get(key)) for figures in rows.values()]
        if any(value is not None for value in values):
            columns.append(_plain(meaning, values))
    return Table(list(rows), columns)


def class_table(detection: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Return cameras and methods x AP50 of each class."""
    rows = _detection_rows(detection)
    per_class = {row: figures.get('per_class') or {} for row, figures in rows.items()}
    columns = []
    for name in dict.fromkeys(name for classes in per_class.values() for name in classes):
        values = [_scalar((classes.get(name) or {}).get('AP50')) for classes in per_class.values()]
        columns.append(_plain(DETECTION['AP50']._replace(key=str(name)), values))
    return Table(list(rows), columns)


def _detection_rows(detection: Mapping[str, Mapping[str, Mapping[str, Any]]],
                    ) -> dict[str, Mapping[str, Any]]:
    rows: dict[str, Mapping[str, Any]] = {}
    for modality in MODALITIES:
        figures = {method: by_modality[modality] for method, by_modality in detection.items()
                   if modality in by_modality}
        title = MODALITY_TITLES[modality]
        first = next(iter(figures.values()), {})
        if modality != 'fused' and all(other == first for other in figures.values()):
            figures = {'': first} if figures else {}
        for method, values in figures.items():
            rows[f'{title}: {method}' if method else title] = values
    return rows


def _estimates(rows: Mapping[str, Mapping[str, Estimate]], catalogue: Mapping[str, Metric],
               ) -> Table:
    columns = []
    for key, meaning in catalogue.items():
        estimates = [row.get(key) for row in rows.values()]
        if any(estimate and finite(estimate.mean) is not None for estimate in estimates):
            columns.append(_estimated(meaning, estimates))
    return Table(list(rows), columns)


def _estimated(meaning: Metric, estimates: Sequence[Estimate | None]) -> Column:
    """Build a column of means with intervals, with the places where they are drawn."""
    ends = [finite(value) for estimate in estimates if estimate
            for value in (estimate.mean, estimate.low, estimate.high)]
    places = decimals(ends)
    known = [value for value in ends if value is not None]
    least, largest = min(known), max(known)
    span = (largest - least) or 1.0

    def position(value: float) -> float:
        return round(2 + 96 * (value - least) / span, 2)

    cells = []
    marks = _marks(meaning, [
        None if estimate is None or (mean := finite(estimate.mean)) is None
        else (mean, finite(estimate.low), finite(estimate.high)) for estimate in estimates])
    for estimate, mark in zip(estimates, marks, strict=True):
        mean = finite(estimate.mean) if estimate else None
        if estimate is None or mean is None:
            cells.append(Cell(MISSING))
            continue
        low, high = finite(estimate.low), finite(estimate.high)
        cells.append(Cell(
            number(mean, places), interval(low, high, places), mark, position(mean),
            position(mean if low is None else low), position(mean if high is None else high),
            estimate.n))
    return Column(meaning, cells, number(least, places), number(largest, places))


def _plain(meaning: Metric, values: Sequence[float | None], places: int | None = None) -> Column:
    """Build a column of figures without intervals."""
    if places is None:
        places = decimals(values)
    marks = _marks(meaning, [None if (value := finite(item)) is None else (value, None, None)
                             for item in values])
    return Column(meaning, [Cell(number(value, places), mark=mark)
                            for value, mark in zip(values, marks, strict=True)])


def _marks(meaning: Metric, figures: Sequence[tuple[float, float | None, float | None] | None],
           ) -> list[str]:
    """Mark the best figures, and those whose interval overlaps that of a best one."""
    known = [figure for figure in figures if figure is not None]
    none = ['' for _ in figures]
    if meaning.higher_is_better is None or len({figure[0] for figure in known}) < 2:
        return none
    choose = max if meaning.higher_is_better else min
    best = choose(known, key=lambda figure: figure[0])
    return ['' if figure is None else 'best' if figure[0] == best[0]
            else 'close' if _overlap(figure[1:], best[1:]) else '' for figure in figures]


def _overlap(one: Iterable[float | None], other: Iterable[float | None]) -> bool:
    low, high = one
    other_low, other_high = other
    if low is None or high is None or other_low is None or other_high is None:
        return False
    return low <= other_high and other_low <= high


def _scalar(value: object) -> float | None:
    return finite(value) if isinstance(value, (int, float)) else None
