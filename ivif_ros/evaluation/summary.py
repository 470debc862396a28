# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From the parts of an evaluation to its results, its summary and its table."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.evaluation.objects import detection_figures
from ivif_ros.evaluation.parts import UNFINISHED, Part, PartInfo, writing
from ivif_ros.evaluation.recordings import Recording
from ivif_ros.evaluation.records import (
    FRAMES,
    RESULTS,
    Estimate,
    MethodSummary,
    PairRecord,
    RecordingSummary,
    RunInfo,
    Summary,
    read_results,
    to_json,
)
from ivif_ros.evaluation.statistics import Column, estimate, percentiles


class _Tally:
    """What is counted of one method."""

    def __init__(self) -> None:
        self.metrics: dict[str, Column] = {}
        self.registration: dict[str, Column] = {}
        self.latency: dict[str, array[float]] = {}
        self.modes: dict[str, int] = {}
        self.pairs = self.failed = 0

    def add(self, record: PairRecord) -> None:
        """Take a record."""
        if record.error:
            self.failed += 1
        else:
            self.pairs += 1
            self.modes[record.mode] = self.modes.get(record.mode, 0) + 1
        for columns, values in ((self.metrics, record.metrics),
                                (self.registration, record.registration)):
            for key, value in (values or {}).items():
                if value is not None:
                    columns.setdefault(key, Column()).add(record.recording, value)
        for stage, value in record.latency_ms.items():
            self.latency.setdefault(stage, array('d')).append(value)

    def summary(self, flicker: dict[str, float | None] | None) -> MethodSummary:
        """Sum up."""
        return MethodSummary(
            _estimates(self.metrics),
            {stage: percentiles(np.frombuffer(values)) for stage, values in self.latency.items()},
            self.pairs, self.failed, dict(sorted(self.modes.items())), flicker,
            _estimates(self.registration))


def merge(out: Path, recordings: Sequence[Recording], methods: Sequence[str], run: RunInfo,
          confidence: float) -> Summary:
    """Write results.jsonl and frames/ from the parts.

    Args:
        out: output folder with the parts of all recordings and methods.
        recordings: in the order of the results.
        methods: in the order of the results.
        run: what was run.
        confidence: score from which found objects count for precision and recall.

    Returns:
        The summary.

    Raises:
        OutputError: something cannot be written.
        SourceError: a part is not there.
    """
    tallies = {method: _Tally() for method in methods}
    infos: dict[str, dict[str, PartInfo]] = {}
    results, frames = (out / f'{UNFINISHED}{name}' for name in (RESULTS, FRAMES))
    with writing(out):
        shutil.rmtree(frames, ignore_errors=True)
        frames.mkdir(parents=True)
        with results.open('w', encoding='utf-8') as lines:
            for recording in recordings:
                parts = {method: Part(out, recording.name, method) for method in methods}
                infos[recording.name] = {
                    method: _copy(part, frames / recording.name, lines, tallies[method])
                    for method, part in parts.items()}
        os.replace(results, out / RESULTS)
        shutil.rmtree(out / FRAMES, ignore_errors=True)
        os.replace(frames, out / FRAMES)
    return Summary(
        run,
        {method: tally.summary(_flicker(by_method[method] for by_method in infos.values()))
         for method, tally in tallies.items()},
        {recording.name: _recording(recording, infos[recording.name], tallies)
         for recording in recordings},
        _detection(out, recordings, methods, infos, confidence))


def table_text(summary: Summary) -> str:
    """The figures as CSV: a row for each method over all recordings, then for each recording."""
    keys = list(dict.fromkeys(key for one in summary.methods.values() for key in one.metrics))
    others = list(dict.fromkeys(
        key for one in summary.methods.values() for key in one.registration))
    stages = list(dict.fromkeys(
        stage for one in summary.methods.values() for stage in one.latency_ms))
    quality = summary.detection or {}
    found = list(dict.fromkeys((modality, key) for one in quality.values()
                               for modality, figures in one.items() for key, value in
                               figures.items() if isinstance(value, (int, float))))
    head = ['recording', 'method', 'pairs', 'failed']
    head += [name for key in keys for name in (key, f'{key}_low', f'{key}_high')]
    head += [f'registration_{key}' for key in others]
    head += [f'{stage}_ms_{part}' for stage in stages for part in ('p50', 'p90', 'p99')]
    head += [f'{modality}_{key}' for modality, key in found]
    rows: list[list[Any]] = [head]
    for method, one in summary.methods.items():
        row: list[Any] = ['all', method, one.pairs, one.failed]
        for key in keys:
            value = one.metrics.get(key)
            row += [None] * 3 if value is None else [value.mean, value.low, value.high]
        row += [None if key not in one.registration else one.registration[key].mean
                for key in others]
        row += [one.latency_ms.get(stage, {}).get(part) for stage in stages
                for part in ('p50', 'p90', 'p99')]
        row += [quality.get(method, {}).get(modality, {}).get(key) for modality, key in found]
        rows.append(row)
    for name, recording in summary.recordings.items():
        for method, means in recording.methods.items():
            rows.append([name, method, recording.pairs, None]
                        + [value for key in keys for value in (means.get(key), None, None)])
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(
        [*row, *[None] * (len(head) - len(row))] for row in rows)
    return text.getvalue()


def _copy(part: Part, frames: Path, lines: Any, tally: _Tally) -> PartInfo:
    """Copy the records and pictures of a part."""
    info = part.info()
    if info is None:
        raise SourceError(f"part '{part.folder}' is not there: evaluate again")
    for record in read_results(part.folder / RESULTS):
        base = info.kept.get(str(record.index))
        if base is not None:
            record = replace(record, frames=f'{FRAMES}/{part.recording}/{base}')
        lines.write(json.dumps(to_json(record)) + '\n')
        tally.add(record)
    pictures = sorted((part.folder / FRAMES).iterdir())
    if pictures:
        frames.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        shutil.copyfile(picture, frames / picture.name)
    return info


def _recording(recording: Recording, infos: dict[str, PartInfo],
               tallies: dict[str, _Tally]) -> RecordingSummary:
    means = {method: {key: values[recording.name] for key, column in tally.metrics.items()
                      if recording.name in (values := column.means())}
             for method, tally in tallies.items()}
    # All methods have seen the same pairs; where one part has been cut short, the longest counts.
    info = max(infos.values(), key=lambda one: one.pairs)
    return RecordingSummary(
        means, info.dropped, info.duration_s, info.pairs, info.time_offset_ms,
        recording.description, {method: one.error for method, one in infos.items() if one.error})


def _flicker(infos: Iterable[PartInfo]) -> dict[str, float | None] | None:
    """Mean over the steps from pair to pair of all recordings; `pairs` is their number."""
    rows = [info.flicker for info in infos if info.flicker is not None]
    if not rows:
        return None
    weights = [row['pairs'] or 0.0 for row in rows]
    figures: dict[str, float | None] = {}
    for key in rows[0]:
        known = [(value, weight) for row, weight in zip(rows, weights, strict=True)
                 if (value := row[key]) is not None and weight]
        figures[key] = (sum(value * weight for value, weight in known)
                        / sum(weight for _, weight in known)) if known else None
    figures['pairs'] = sum(weights)
    return figures


def _detection(out: Path, recordings: Sequence[Recording], methods: Sequence[str],
               infos: dict[str, dict[str, PartInfo]],
               confidence: float) -> dict[str, dict[str, dict[str, Any]]] | None:
    figures = {}
    for method in methods:
        names = {int(index): name for by_method in infos.values()
                 for index, name in by_method[method].classes.items()}
        if not names:
            continue
        found = detection_figures(
            (record for recording in recordings
             for record in Part(out, recording.name, method).objects()), names, confidence)
        if found:
            figures[method] = found
    return figures or None


def _estimates(columns: dict[str, Column]) -> dict[str, Estimate]:
    return {key: estimate(column) for key, column in columns.items()}
