# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One recording by some methods: the unit of work of an evaluation, in whatever process."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ivif_ros.bags.replay import replay
from ivif_ros.bags.summary import RunSummary
from ivif_ros.counters import is_loss
from ivif_ros.detection import load_detector
from ivif_ros.errors import SourceError
from ivif_ros.evaluation.collector import Collector, MethodOutput
from ivif_ros.evaluation.flicker import FlickerWindows
from ivif_ros.evaluation.gallery import APART_S, Gallery, encoded
from ivif_ros.evaluation.labels import Labels
from ivif_ros.evaluation.objects import LOWEST_SCORE, ObjectFinder
from ivif_ros.evaluation.parts import PROGRESS, Part, PartInfo, PartWriter
from ivif_ros.evaluation.recordings import STILL_S, Recording
from ivif_ros.evaluation.side_by_side import Outcome, SideBySide
from ivif_ros.evaluation.truth import RegistrationTruth
from ivif_ros.memory import keep_freed_memory, return_freed_memory
from ivif_ros.metrics.catalogue import FUSION
from ivif_ros.parameters import DetectionParameters, Parameters
from ivif_ros.registration.tracker import SynchronousExecutor
from ivif_ros.sources.folder import DEFAULT_RATE_HZ, FRAME_IDS, SENSORS, START_NS
from ivif_ros.sources.images import read_image
from ivif_ros.types import Frame

PROGRESS_S = 0.5
"""Seconds between two notes of progress."""
WAITING = 2
"""Measured pairs that may wait for each thread."""


@dataclass(frozen=True)
class Job:
    """What to do; plain data that can be sent to another process or machine.

    Attributes:
        recording: what to read.
        keys: method -> key of its part, see parts.py.
        params: all parameters; `fusion.method` is replaced by each method.
        out: output folder.
        every: each how many-th pair is measured.
        labels: folder of labels, or None.
        truth: file or folder of the truth, or None.
        detect: whether to look for objects, with `detection.weights`.
        keep: best, median and worst pairs to keep pictures of, of each so many.
        metrics: keys of the fusion metrics to compute.
        threads: threads that compute figures beside the pipeline; 0 does it in turns.
    """

    recording: Recording
    keys: dict[str, str]
    params: Parameters
    out: Path
    every: int
    labels: Path | None = None
    truth: Path | None = None
    detect: bool = False
    keep: int = 3
    metrics: tuple[str, ...] = tuple(FUSION)
    threads: int = 0

    @property
    def progress_file(self) -> Path:
        """Where the job notes how far it is: seconds of the stream, times its methods."""
        part = Part(self.out, self.recording.name, next(iter(self.keys)))
        return part.folder.with_name(f'{part.folder.name}{PROGRESS}')

    @property
    def work_s(self) -> float:
        """What the note says in the end."""
        return self.recording.length_s * len(self.keys)


def run_job(job: Job) -> None:
    """Evaluate a recording and write a part for each method.

    A recording that cannot be read to its end gives parts that say so.

    Raises:
        OutputError: the parts cannot be written.
        IvifError: parameters, weights, labels or truth that cannot be used.
    """
    started = time.perf_counter()
    keep_freed_memory()
    try:
        _finish_job(job, started)
    finally:
        return_freed_memory()


def _finish_job(job: Job, started: float) -> None:
    """Do the work; all that it holds is let go of at the end."""
    with ExitStack() as stack:
        run = _Run(job, stack)
        error = ''
        summary: RunSummary | None = None
        try:
            if job.recording.stills:
                run.read_stills()
            else:
                summary = run.read_stream()
        except SourceError as trouble:
            error = str(trouble)
        run.finish(summary, error, time.perf_counter() - started)


class _Run:
    """State of one job."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        self._job = job
        self._truth = RegistrationTruth(job.truth)
        self._bench = SideBySide(job.params, list(job.keys), job.every, self._take)
        stack.callback(self._bench.close)
        self._outputs: dict[str, MethodOutput] = {}
        for method in job.keys:
            writer = PartWriter(Part(job.out, job.recording.name, method))
            stack.callback(writer.close)
            stream = not job.recording.stills
            self._outputs[method] = MethodOutput(
                writer, Gallery(job.keep, APART_S if stream else 0.0),
                FlickerWindows() if stream and self._bench.fuses_all else None)
        self._finder = self._load_finder(stack)
        self._collector = Collector(
            job.recording.name, self._outputs, self._bench.params, self._truth,
            self._finder, self._threads(stack), WAITING * max(1, job.threads),
            job.metrics, _naming(job.recording))
        self._dropped: dict[str, int] = {}
        self._noted_s = time.perf_counter()
        stack.callback(self._forget_progress)

    def read_stream(self) -> RunSummary:
        """Replay a stream.

        Raises:
            SourceError: it cannot be read to its end.
        """
        recording = self._job.recording
        with recording.open() as source:
            self._truth.attach(source, recording.truth_file())
            return replay(source, None, self._bench, self._bench.params,
                          lambda done_ns, total_ns, results: self._note(done_ns / 1e9),
                          on_result=self._bench.on_result)

    def read_stills(self) -> None:
        """Fuse pairs that stand alone; one that cannot be read is noted."""
        for number, files in enumerate(self._job.recording.stills):
            stamp_ns = START_NS + number * round(STILL_S * 1e9)
            frames: list[Frame] = []
            for sensor in SENSORS:
                file = files.rgb if sensor == 'rgb' else files.thermal
                try:
                    frames.append(Frame(stamp_ns, FRAME_IDS[sensor], read_image(file, sensor)))
                except SourceError as error:
                    name = f'{sensor}.unreadable'
                    self._dropped[name] = self._dropped.get(name, 0) + 1
                    self._collector.fail(
                        self._bench.leave_out(), stamp_ns, files.stem, str(error))
                    break
            else:
                self._bench.process_named(files.stem, *frames)
            self._note((number + 1) * STILL_S)
        losses = {name: count for name, count in self._bench.counters.snapshot().items()
                  if is_loss(name)}
        self._dropped.update(losses)

    def finish(self, summary: RunSummary | None, error: str, seconds: float) -> None:
        """Complete the parts.

        Raises:
            OutputError: they cannot be written.
        """
        job, offset = self._job, None if summary is None else summary.time_offset
        for method, chosen in self._collector.finish().items():
            output = self._outputs[method]
            kept = {str(pair.index): f'{pair.index:06d}_{output.writer.part.folder.name}'
                    for pair in chosen}
            for pair in chosen:
                for picture, image in pair.pictures.items():
                    output.writer.picture(
                        f'{kept[str(pair.index)]}_{picture}.webp', encoded(image))
            output.writer.finish(PartInfo(
                key=job.keys[method], recording=job.recording.name, method=method,
                pairs=self._collector.pairs,
                duration_s=0.0 if summary is None else summary.stream_seconds,
                dropped=self._dropped if summary is None else summary.dropped,
                time_offset_ms=None if offset is None else offset.estimate_ms,
                flicker=None if output.flicker is None else output.flicker.figures(),
                kept=kept, error=error, seconds=seconds / len(job.keys),
                classes={} if self._finder is None else {
                    str(index): name for index, name in self._finder.names.items()}))

    def _take(self, outcome: Outcome) -> None:
        self._collector.take(outcome)

    def _load_finder(self, stack: ExitStack) -> ObjectFinder | None:
        job = self._job
        if not job.detect:
            return None
        labels = None if job.labels is None else Labels(job.labels)
        detector = load_detector(
            for_precision(self._bench.params.detection, labels), self._bench.device)
        if detector is None:
            return None
        stack.callback(detector.close)
        return ObjectFinder(detector, labels)

    def _threads(self, stack: ExitStack) -> Executor:
        if not self._job.threads:
            return SynchronousExecutor()
        return stack.enter_context(ThreadPoolExecutor(
            self._job.threads, 'figures', initializer=_one_thread_each))

    def _note(self, done_s: float) -> None:
        """Note how far the job is, from time to time."""
        now = time.perf_counter()
        if now - self._noted_s >= PROGRESS_S:
            self._noted_s = now
            with suppress(OSError):  # nothing depends on it
                self._job.progress_file.write_text(f'{done_s * len(self._job.keys):.1f}')

    def _forget_progress(self) -> None:
        with suppress(OSError):
            self._job.progress_file.unlink(missing_ok=True)


def for_precision(params: DetectionParameters, labels: Labels | None) -> DetectionParameters:
    """Let the detector give boxes of low scores as well where average precision is wanted."""
    if labels is None:
        return params
    return replace(params, confidence=min(LOWEST_SCORE, params.confidence))


def _naming(recording: Recording) -> Callable[[int], str]:
    """How a pair of a stream of images is found by its stamp."""
    if not recording.names:
        return lambda stamp_ns: ''
    period_ns = 1e9 / (recording.how.rate_hz or DEFAULT_RATE_HZ)
    last = len(recording.names) - 1
    return lambda stamp_ns: recording.names[
        min(max(round((stamp_ns - START_NS) / period_ns), 0), last)]


def _one_thread_each() -> None:
    """PyTorch counts threads for each thread that calls it."""
    import torch

    torch.set_num_threads(1)
