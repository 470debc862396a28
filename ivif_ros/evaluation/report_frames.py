# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The kept frames of a report: what was best, median and worst, side by side, inside the page.

Methods often have their worst frame in the same place. A frame is shown once, with the fused images
of all methods that kept it beside each other, which is smaller and easier to compare.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ivif_ros.evaluation.records import PairRecord
from ivif_ros.evaluation.report_text import count, finite, number, words

IMAGE_BYTES = 9_000_000
"""Bytes of pictures in a report; base64 makes a third more of them."""
INPUTS = {'rgb': 'RGB', 'thermal': 'thermal', 'registered': 'thermal, registered'}

Kind = Literal['best', 'median', 'worst', 'kept']


@dataclass(frozen=True)
class Rank:
    """How a frame compares with the others of its recording and method.

    Attributes:
        method: fusion method.
        kind: third of the kept frames in which it is; `kept` where it has no VIF.
        vif: VIF of the frame.
        place: 1 for the largest VIF.
        of: number of pairs that were measured.
        found: objects that were found in the fused image; None without a detector.
    """

    method: str
    kind: Kind
    vif: float | None
    place: int
    of: int
    found: int | None

    @property
    def text(self) -> str:
        """Say it in a few words."""
        if self.vif is None:
            return f'{self.method}: VIF not measured'
        return f'{self.method}: VIF {number(self.vif, 3)}, place {self.place:,} of {self.of:,}'


@dataclass(frozen=True)
class Picture:
    """One picture of a frame.

    Attributes:
        label: what it shows, as a caption.
        alt: what it shows, for those who do not see it.
        method: fusion method of a fused image, or empty.
        uri: `data:` URI; empty where the picture is missing.
    """

    label: str
    alt: str
    method: str
    uri: str


@dataclass
class FrameRow:
    """One frame of a recording.

    Attributes:
        recording: its recording.
        index: number of the pair.
        title: which frame it is, in words.
        facts: skew, mode and registration in words.
        ranks: how the methods that kept it did.
        pictures: RGB, thermal, registered, and fused of each method.
    """

    recording: str
    index: int
    title: str
    facts: list[str]
    ranks: list[Rank] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def kinds(self) -> list[Kind]:
        """Return the kinds of its ranks, each once, the better first."""
        order: tuple[Kind, ...] = ('best', 'median', 'worst', 'kept')
        return [kind for kind in order if any(rank.kind == kind for rank in self.ranks)]

    @property
    def columns(self) -> int:
        """Return how many of its pictures stand side by side on a wide screen."""
        n = len(self.pictures)
        return n if n <= 6 else min(6, (n + 1) // 2)


@dataclass(frozen=True)
class Frames:
    """The frame browser.

    Attributes:
        rows: by recording, larger VIF first.
        left_out: frames whose pictures would make the page too large.
    """

    rows: list[FrameRow]
    left_out: int


def browse(folder: Path, kept: Sequence[PairRecord],
           vif: dict[tuple[str, str], list[float]], most_bytes: int = IMAGE_BYTES) -> Frames:
    """Collect the kept frames with their pictures.

    The extremes of each recording and method come before their runners-up when not all fit.

    Args:
        folder: folder of the evaluation.
        kept: records of the pairs of which pictures were kept.
        vif: (recording, method) -> VIF of all pairs that were measured.
        most_bytes: bytes of picture files that may be taken.
    """
    records: dict[tuple[str, int], list[PairRecord]] = {}
    for record in kept:
        records.setdefault((record.recording, record.index), []).append(record)
    kept_vif: dict[tuple[str, str], list[float]] = {}
    for record in kept:
        if (value := _vif(record)) is not None:
            kept_vif.setdefault((record.recording, record.method), []).append(value)
    ranks = {}
    for key, group in records.items():
        streams = [(record.recording, record.method) for record in group]
        ranks[key] = [_rank(record, vif.get(stream, []), kept_vif.get(stream, []))
                      for record, stream in zip(group, streams, strict=True)]

    rows = []
    for key in sorted(records, key=lambda key: min(map(_urgency, ranks[key]))):
        files = _files(folder, records[key])
        size = sum(path.stat().st_size for _, _, path in files if path is not None)
        if size > most_bytes:
            continue
        most_bytes -= size
        row = _row(records[key][0])
        row.ranks = ranks[key]
        row.pictures = [_picture(row, name, method, path) for name, method, path in files]
        rows.append(row)
    order = list(dict.fromkeys(record.recording for record in kept))
    rows.sort(key=lambda row: (
        order.index(row.recording), -max(rank.vif or 0.0 for rank in row.ranks), row.index))
    return Frames(rows, len(records) - len(rows))


def _vif(record: PairRecord) -> float | None:
    return finite((record.metrics or {}).get('VIF'))


def _rank(record: PairRecord, values: Sequence[float], kept: Sequence[float]) -> Rank:
    found = (record.detections or {}).get('fused')
    vif = _vif(record)
    if vif is None or not values:
        return Rank(record.method, 'kept', None, 0, len(values), found)
    place = 1 + sum(value > vif for value in values)
    # As many of the best, median and worst were kept.
    share = (sum(value > vif for value in kept) + 0.5) / len(kept)
    kind: Kind = 'best' if share < 1 / 3 else 'worst' if share > 2 / 3 else 'median'
    return Rank(record.method, kind, vif, place, len(values), found)


def _urgency(rank: Rank) -> float:
    """Distance of the rank from the nearest of: first, middle, last; in places."""
    if rank.vif is None:
        return float(rank.of)
    return min(rank.place - 1, rank.of - rank.place, abs(rank.place - (rank.of + 1) / 2))


def _files(folder: Path, group: Sequence[PairRecord]) -> list[tuple[str, str, Path | None]]:
    """Return (picture, method, file) of a frame; None where there is no such file in the folder."""
    def file(record: PairRecord, name: str) -> Path | None:
        path = (folder / f'{record.frames}_{name}.webp').resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None

    files: list[tuple[str, str, Path | None]] = []
    for name in INPUTS:
        paths = (file(record, name) for record in group)
        files.append((name, '', next((path for path in paths if path is not None), None)))
    return files + [('fused', record.method, file(record, 'fused')) for record in group]


def _row(record: PairRecord) -> FrameRow:
    title = record.name or f'pair {record.index:,} at {number(record.time_s, 2)} s'
    facts = [words(record.mode) + (f' ({words(record.reason)})' if record.reason else '')]
    if record.skew_ms is not None and not record.name:
        facts.append(f'skew {number(record.skew_ms, 1)} ms')
    if record.confidence:
        facts.append(f'registration confidence {number(record.confidence, 2)}')
    if record.expected_error_px is not None:
        facts.append(f'expected error {number(record.expected_error_px, 1)} px')
    return FrameRow(record.recording, record.index, title, [fact for fact in facts if fact])


def _picture(row: FrameRow, name: str, method: str, path: Path | None) -> Picture:
    label = f'fused: {method}' if method else INPUTS[name]
    alt = f'{label}, {row.recording}, {row.title}'
    if method:
        rank = next(rank for rank in row.ranks if rank.method == method)
        if rank.found is not None:
            alt += f', {count(rank.found, "object")} found'
    if path is None:
        return Picture(label, f'missing: {alt}', method, '')
    data = base64.b64encode(path.read_bytes()).decode('ascii')
    return Picture(label, alt, method, f'data:image/webp;base64,{data}')
