# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The robot's path over a recording: offline, deterministic and as fast as the machine can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ivif_ros.bags.outputs import Compression, ResultWriter
from ivif_ros.bags.pairs import paired
from ivif_ros.bags.summary import RunStatistics, RunSummary, TimeOffset
from ivif_ros.bags.truth import end_point_error
from ivif_ros.bags.writer import BagWriter
from ivif_ros.counters import is_loss
from ivif_ros.errors import ImageError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import Parameters
from ivif_ros.registration import dense_map
from ivif_ros.sync import Synchroniser
from ivif_ros.types import Frame, FramePair, FusionResult, Sensor

if TYPE_CHECKING:
    from ivif_ros.pipeline import Pipeline

Progress = Callable[[int, 'int | None', int], None]
"""Called after each frame with the time of the stream so far and its length (None where unknown),
both in nanoseconds, and the number of results so far."""


def replay(source: FrameSource, writer: BagWriter | None, pipeline: Pipeline, params: Parameters,
           progress: Progress | None = None, *, compression: Compression = 'none',
           weight: bool = False,
           on_result: Callable[[FusionResult], None] | None = None) -> RunSummary:
    """Pair, fuse and record a whole source.

    Frames are paired with their receive time as the clock, and waits end when they would have ended
    on the robot, so that the images depend on the source and the parameters alone. Latencies are
    those of this machine.

    Args:
        source: the frames.
        writer: gets the outputs on the topics of the live node; None for none.
        pipeline: fuses the pairs; it is reset first.
        params: all parameters; those of the pipeline.
        progress: told after each frame.
        compression: how to compress the images that are written.
        weight: also measure the share of the thermal image at each place and write it, as the node
            does for those who listen to `fused/weight`.
        on_result: called with every result, for metrics and pictures.

    Returns:
        Figures of the run. `sync` is the time that a pair waited in the stream for its partner,
        `publish` the writing, `end_to_end` all from the receive time of the later frame on.

    Raises:
        SourceError: the source cannot be read to its end.
        OutputError: the outputs cannot be written.
    """
    run = _Run(source, writer, pipeline, params, compression, weight, on_result)
    length_ns = source.duration_ns()
    times: list[int] = []

    def on_frame(sensor: Sensor, frame: Frame) -> None:
        now_ns = frame.received_ns
        times[1:] = [now_ns] if times else [now_ns, now_ns]
        run.statistics.add_frame(sensor, frame.stamp_ns)
        if progress is not None:
            progress(now_ns - times[0], length_ns, run.statistics.pairs)

    for pair, now_ns in paired(source, run.matcher, on_frame):
        run.process(pair, now_ns)
    return run.summary(times[1] - times[0] if times else 0)


class _Run:
    """State of one replay."""

    def __init__(self, source: FrameSource, writer: BagWriter | None, pipeline: Pipeline,
                 params: Parameters, compression: Compression, weight: bool,
                 on_result: Callable[[FusionResult], None] | None) -> None:
        self.statistics = RunStatistics()
        self.matcher = Synchroniser(params.sync, pipeline.counters)
        self._source = source
        self._pipeline = pipeline
        self._outputs = None if writer is None else ResultWriter(
            writer, params, compression=compression)
        self._weight = weight
        self._on_result = on_result
        self._detect = params.detection.enabled and pipeline.detector is not None
        self._start = time.perf_counter()
        self._before = self._counts()
        pipeline.reset()

    def process(self, pair: FramePair, now_ns: int) -> None:
        """Fuse one pair and write the result."""
        start = time.perf_counter()
        try:
            result = self._pipeline.process(
                pair, detect=self._detect, contribution=self._weight)
        except ImageError as error:
            self._pipeline.counters.add(f'pair.{error.reason}')
            return
        processed = time.perf_counter()
        if self._outputs is not None:
            self._outputs.write(result, now_ns)
        done = time.perf_counter()
        waited_ms = (now_ns - pair.received_ns) / 1e6
        total_ms = waited_ms + (done - start) * 1e3
        result.latency_ms.update(
            sync=waited_ms, publish=(done - processed) * 1e3, total=total_ms)
        if self._outputs is not None:
            self._outputs.write_status(result, now_ns, {
                name: count for name, count in self._counted().items() if is_loss(name)})
        self.statistics.add_latency('end_to_end', total_ms)
        complete = pair.rgb is not None and pair.thermal is not None
        self.statistics.add_pair(
            result.mode, pair.skew_ns / 1e6 if complete else None, result.latency_ms)
        self._compare(result)
        if self._on_result is not None:
            self._on_result(result)

    def summary(self, stream_ns: int) -> RunSummary:
        """Sum up."""
        return self.statistics.summary(
            dropped=self._counted(), seconds=time.perf_counter() - self._start,
            stream_seconds=stream_ns / 1e9,
            time_offset=TimeOffset.of(self.matcher.offset, self.matcher.estimate))

    def _compare(self, result: FusionResult) -> None:
        """Measure the registration where the source knows the truth."""
        pair, deformation = result.pair, result.deformation
        if pair.rgb is None or pair.thermal is None or deformation is None:
            return
        truth = self._source.true_map(pair.rgb.stamp_ns)
        if truth is None:
            return
        error = end_point_error(dense_map(deformation), truth, deformation.thermal_size)
        if error is not None:
            self.statistics.add_registration_error(error)

    def _counts(self) -> dict[str, int]:
        """Everything that was counted, by the source as well as by matcher and pipeline."""
        counts = self._pipeline.counters.snapshot()
        for name, count in self._source.problems.snapshot().items():
            counts[name] = counts.get(name, 0) + count
        return counts

    def _counted(self) -> dict[str, int]:
        """What was counted since the run began."""
        return {name: count - self._before.get(name, 0) for name, count in self._counts().items()
                if count > self._before.get(name, 0)}
