# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation writes: one record per pair and method, the summary, and how they are stored.

The files of an output folder:

    run.json        RunInfo: what was run
    results.jsonl   one PairRecord per line, by recording, method and index
    summary.json    Summary
    summary.csv     the means of the methods as a table
    frames/<recording>/<index>_<method>_{rgb,thermal,registered,fused}.webp
    report.html     all of it as a page

NaN and infinity are stored as null, as JSON knows neither; `null` is read back as None.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ivif_ros.errors import SourceError

RUN, RESULTS, SUMMARY, TABLE = 'run.json', 'results.jsonl', 'summary.json', 'summary.csv'
FRAMES, REPORT = 'frames', 'report.html'
PICTURES = ('rgb', 'thermal', 'registered', 'fused')
"""Pictures of a pair that is kept: `<frames>_<picture>.webp`."""
MODALITIES = ('rgb', 'thermal', 'fused')
"""Images in which objects are looked for."""

Record = TypeVar('Record')


@dataclass(frozen=True)
class PairRecord:
    """One pair as one method fused it: a line of results.jsonl.

    Attributes:
        recording: name of the recording.
        method: name of the fusion method.
        index: number of the pair in its recording, from 0, partial pairs included.
        stamp_ns: stamp of the RGB image in nanoseconds, that of the thermal image without one.
        time_s: seconds since the first pair of the recording.
        name: stem of the image files of a still; empty in a stream.
        mode: `fused`, `rgb_only` or `thermal_only`; empty where the pair failed.
        reason: why it is not a full fusion.
        skew_ms: thermal minus RGB stamp; None where one image is missing.
        confidence: trust in the registration, 0 to 1; None without registration.
        expected_error_px: error of the registration as it expects it, RGB pixels; None if unknown.
        latency_ms: stage -> milliseconds on the machine that evaluated.
        metrics: key of `metrics.catalogue.FUSION` -> value; None where the pair was not measured.
        registration: key of `metrics.catalogue.REGISTRATION` -> value (`EPE` in RGB pixels, None
            without truth); None where it was not measured.
        detections: number of objects by modality; None without a detector.
        frames: start of the paths of the kept pictures, relative to the folder; None for none.
        error: why the pair has no result; empty where it has.
    """

    recording: str
    method: str
    index: int
    stamp_ns: int
    time_s: float
    name: str = ''
    mode: str = ''
    reason: str = ''
    skew_ms: float | None = None
    confidence: float | None = None
    expected_error_px: float | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float | None] | None = None
    registration: dict[str, float | None] | None = None
    detections: dict[str, int] | None = None
    frames: str | None = None
    error: str = ''


@dataclass(frozen=True)
class RunInfo:
    """What was run: run.json.

    Attributes:
        sources: name of the recording -> what it is, in one line.
        methods: fusion methods, in the order of the command.
        parameters: full name -> value, of all parameters; `fusion.method` is the first method.
        every: each how many-th pair was measured.
        labels: folder of labels, or empty.
        truth: file of true maps, or empty.
        detector: file of the detector, or empty.
        versions: package -> version.
        machine: what it ran on: `cpu`, `cores`, `device`, `system`.
        started: local time with zone, ISO 8601.
        seconds: how long the last start took that evaluated something.
        real_time_factor: seconds of the streams that it evaluated, once for each method, to
            `seconds`; None where none was a stream.
        jobs: how many processes ran side by side.
        thresholds: condition of --fail-if -> True where the evaluation has passed it.
        command: the words of the command line.
    """

    sources: dict[str, str]
    methods: list[str]
    parameters: dict[str, Any]
    every: int
    labels: str = ''
    truth: str = ''
    detector: str = ''
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    started: str = ''
    seconds: float = 0.0
    real_time_factor: float | None = None
    jobs: int = 1
    thresholds: dict[str, bool] = field(default_factory=dict)
    command: str = ''


@dataclass(frozen=True)
class Estimate:
    """A mean and how sure it is.

    Attributes:
        mean: over all pairs that were measured.
        low: lower end of the 95 % bootstrap interval of the mean; None where there is too little.
        high: upper end.
        n: number of pairs.
        over: what the bootstrap drew: `recordings`, or `pairs` where there is one recording.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    over: str


@dataclass(frozen=True)
class MethodSummary:
    """One method over all recordings.

    Attributes:
        metrics: key of a fusion metric -> mean and interval.
        latency_ms: stage -> `p50`, `p90`, `p99` in milliseconds.
        pairs: number of pairs with a result.
        failed: number of pairs without one, see PairRecord.error.
        modes: number of pairs by mode.
        flicker: means over the recordings of the figures of `metrics.video.Flicker`; None where no
            recording is a stream all pairs of which were fused.
        registration: key of a registration metric -> mean and interval.
    """

    metrics: dict[str, Estimate]
    latency_ms: dict[str, dict[str, float]]
    pairs: int
    failed: int
    modes: dict[str, int]
    flicker: dict[str, float | None] | None = None
    registration: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingSummary:
    """One recording.

    Attributes:
        methods: method -> key of the metric -> mean over its pairs.
        dropped: frames and pairs that gave no output, by reason.
        duration_s: length of the stream; 0 for stills.
        pairs: number of pairs, partial ones included.
        time_offset_ms: what `sync.thermal_offset_ms` should be; None where it is not known.
        description: what was read, in one line.
        errors: method -> why it gave no result at all for this recording.
    """

    methods: dict[str, dict[str, float]]
    dropped: dict[str, int]
    duration_s: float
    pairs: int
    time_offset_ms: float | None = None
    description: str = ''
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """summary.json.

    Attributes:
        run: what was run.
        methods: method -> its figures.
        recordings: recording -> its figures.
        detection: method -> modality -> figures of `metrics.detection` (`AP50`, `mAP50-95`,
            `precision`, `recall`, `per_class`, ...); None without labels or detector.
    """

    run: RunInfo
    methods: dict[str, MethodSummary]
    recordings: dict[str, RecordingSummary]
    detection: dict[str, dict[str, dict[str, Any]]] | None = None


def to_json(record: Any) -> dict[str, Any]:
    """Turn one of the dataclasses here into what JSON can hold."""
    plain: dict[str, Any] = _finite(record)
    return plain


def from_json(kind: type[Record], data: Any, where: str) -> Record:
    """Turn what JSON held back into a dataclass.

    Args:
        kind: the dataclass; nested ones and dictionaries of them are built as well.
        data: what `json.loads` gave.
        where: what to name in an error, such as the file.

    Raises:
        SourceError: something is missing or of another type.
    """
    try:
        built: Record = _build(kind, data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f'{where} does not hold a {kind.__name__} of this version of ivif_ros ({error}); '
            'evaluate again with --fresh') from error
    return built


def read_run(folder: Path) -> RunInfo:
    """Read run.json.

    Raises:
        SourceError: not there, or nothing that this version wrote.
    """
    return from_json(RunInfo, _load(folder / RUN), f"'{folder / RUN}'")


def read_summary(folder: Path) -> Summary:
    """Read summary.json.

    Raises:
        SourceError: not there, or nothing that this version wrote.
    """
    return from_json(Summary, _load(folder / SUMMARY), f"'{folder / SUMMARY}'")


def read_results(path: Path) -> Iterator[PairRecord]:
    """Read the records of results.jsonl (or of a part of it) one by one.

    Raises:
        SourceError: not there, or a line that this version did not write.
    """
    try:
        with path.open(encoding='utf-8') as lines:
            for number, line in enumerate(lines, 1):
                where = f"line {number} of '{path}'"
                try:
                    data = json.loads(line)
                except ValueError as error:
                    raise SourceError(f'{where} is not JSON: {error}') from error
                yield from_json(PairRecord, data, where)
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"'{path}' is not JSON: {error}") from error


def _finite(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _finite(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _build(kind: Any, data: Any) -> Any:
    """Build dataclasses inside dictionaries and options; other values stay as they are."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _build(hints[name], value) for name, value in data.items()})
    if data is None or not _holds_records(kind):
        return data
    if typing.get_origin(kind) is dict:
        inner = typing.get_args(kind)[1]
        return {name: _build(inner, value) for name, value in data.items()}
    return _build(next(part for part in typing.get_args(kind) if part is not types.NoneType), data)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of the fields of a dataclass; finding them takes longer than reading a record."""
    return typing.get_type_hints(kind)


@functools.cache
def _holds_records(kind: Any) -> bool:
    """Whether there is a dataclass in a type."""
    return dataclasses.is_dataclass(kind) or any(map(_holds_records, typing.get_args(kind)))
