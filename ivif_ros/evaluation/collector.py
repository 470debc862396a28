# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of each pair: a record for each method, its figures, and a picture where it counts.

Figures are computed in threads beside the pipeline and written in the order of the pairs, so that
neither the number of threads nor the speed of the machine shows in the files.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from ivif_ros.evaluation.flicker import FlickerWindows
from ivif_ros.evaluation.gallery import Gallery, Kept, pictures_of
from ivif_ros.evaluation.measures import (
    LEAST_SIDE,
    Figures,
    common_area,
    fusion_figures,
    number,
    registration_figures,
)
from ivif_ros.evaluation.objects import Found, ObjectFinder, confident, objects_record
from ivif_ros.evaluation.parts import ObjectsRecord, PartWriter
from ivif_ros.evaluation.records import PairRecord
from ivif_ros.evaluation.side_by_side import Outcome, words_of
from ivif_ros.evaluation.truth import RegistrationTruth
from ivif_ros.parameters import Parameters
from ivif_ros.types import FusionResult, Mode

RANKED_BY = 'VIF'
"""Metric by which the best, median and worst pairs are chosen; the first one where it is not
computed."""


@dataclass
class MethodOutput:
    """Where the results of one method go.

    Attributes:
        writer: its part.
        gallery: the pairs with pictures.
        flicker: None where not every pair is fused.
    """

    writer: PartWriter
    gallery: Gallery
    flicker: FlickerWindows | None


@dataclass
class _Pending:
    """A pair whose figures are being computed."""

    index: int
    records: dict[str, PairRecord]
    results: Mapping[str, FusionResult]
    registration: Future[Figures] | None = None
    metrics: dict[str, Future[Figures]] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    objects: dict[str, ObjectsRecord] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether something is still computed."""
        futures = [self.registration] if self.registration is not None else []
        return not all(future.done() for future in (*futures, *self.metrics.values()))


class Collector:
    """Takes the pairs of one recording from the pipeline.

    Args:
        recording: its name.
        outputs: method -> where its results go.
        params: all parameters.
        truth: where pixels really lie.
        finder: looks for objects; None for no detection.
        threads: computes figures.
        most_waiting: measured pairs that may wait for them; bounds the memory.
        keys: fusion metrics to compute.
        name_of: stamp of a pair of a stream -> stem of its images, empty where it has none.
    """

    def __init__(self, recording: str, outputs: Mapping[str, MethodOutput], params: Parameters,
                 truth: RegistrationTruth, finder: ObjectFinder | None, threads: Executor,
                 most_waiting: int, keys: Sequence[str], name_of: Callable[[int], str]) -> None:
        """Start before the first pair."""
        self._recording = recording
        self._outputs = outputs
        self._params = params
        self._truth = truth
        self._finder = finder
        self._threads = threads
        self._most_waiting = most_waiting
        self._keys = tuple(keys)
        self._ranked_by = RANKED_BY if RANKED_BY in keys else keys[0]
        self._name_of = name_of
        self._queue: deque[_Pending] = deque()
        self._first_ns: int | None = None
        self.pairs = 0
        """Pairs so far, those that failed included."""

    def take(self, outcome: Outcome) -> None:
        """Take the next pair.

        Raises:
            OutputError: something cannot be written.
            SourceError: the truth of the pair cannot be read.
        """
        stamp_ns = outcome.pair.stamp_ns
        outcome = replace(outcome, name=outcome.name or self._name_of(stamp_ns))
        records = {method: self._record(method, outcome) for method in self._outputs}
        # Images of pairs that are not measured are let go at once.
        pending = _Pending(outcome.index, records, outcome.results if outcome.measured else {})
        for method, result in outcome.results.items():
            flicker = self._outputs[method].flicker
            if flicker is not None:
                flicker.add(result)
        if outcome.measured and outcome.results:
            self._find_objects(pending, outcome)
            self._measure(pending, outcome)
        self._append(pending)

    def fail(self, index: int, stamp_ns: int, name: str, error: str) -> None:
        """Note a pair that could not be read."""
        for method, output in self._outputs.items():
            self._flush()
            output.writer.record(PairRecord(
                self._recording, method, index, stamp_ns, self._time_s(stamp_ns), name,
                error=error))
        self.pairs += 1

    def finish(self) -> dict[str, list[Kept]]:
        """Write what waits; returns the pairs to keep pictures of, by method."""
        self._flush()
        return {method: output.gallery.chosen() for method, output in self._outputs.items()}

    def _time_s(self, stamp_ns: int) -> float:
        if self._first_ns is None:
            self._first_ns = stamp_ns
        return (stamp_ns - self._first_ns) / 1e9

    def _record(self, method: str, outcome: Outcome) -> PairRecord:
        """What is known of a pair before its figures."""
        pair, registered = outcome.pair, outcome.registered
        record = PairRecord(
            self._recording, method, outcome.index, pair.stamp_ns, self._time_s(pair.stamp_ns),
            outcome.name, error=outcome.errors.get(method, ''))
        if pair.rgb is not None and pair.thermal is not None:
            record = replace(record, skew_ms=pair.skew_ns / 1e6)
        if registered is None:
            return record
        result = outcome.results.get(method)
        latency = {'sync': outcome.waited_ms,
                   **(registered.latency_ms if result is None else result.latency_ms)}
        deformation = registered.deformation
        return replace(
            record, mode='' if record.error else registered.mode.name.lower(),
            reason=registered.reason, latency_ms=_with_total(latency, result),
            confidence=None if deformation is None else float(deformation.confidence),
            expected_error_px=None if deformation is None else number(deformation.residual_px))

    def _find_objects(self, pending: _Pending, outcome: Outcome) -> None:
        """Look for objects in the images of a pair."""
        finder = self._finder
        if finder is None:
            return
        least = self._params.detection.confidence
        first = next(iter(outcome.results.values()))
        label = None
        if first.pair.rgb is not None:
            label = finder.truth(
                outcome.name or str(outcome.pair.stamp_ns), first.pair.rgb.size)
        inputs: Found | None = None
        for method, result in outcome.results.items():
            record = pending.records[method]
            try:
                inputs = finder.inputs(first) if inputs is None else inputs
                start = time.perf_counter()
                found = {**inputs, **finder.fused(result)}
                latency = {**record.latency_ms,
                           'detection': (time.perf_counter() - start) * 1e3}
            except Exception as error:  # one image on which the detector fails
                pending.records[method] = replace(
                    record, error=f'detection failed: {words_of(error)}')
                continue
            if label is not None:
                pending.objects[method] = objects_record(outcome.index, found, label)
            pending.found[method] = {
                modality: confident(one, least) for modality, one in found.items()}
            pending.records[method] = replace(
                record, latency_ms=_with_total(latency, result),
                detections={modality: len(one)
                            for modality, one in pending.found[method].items()})

    def _measure(self, pending: _Pending, outcome: Outcome) -> None:
        """Start the figures of a pair that was made of both images."""
        registered, pair = outcome.registered, outcome.pair
        first = next(iter(outcome.results.values()))
        thermal = first.thermal_registered
        if (registered is None or registered.mode is not Mode.FUSED or registered.weight is None
                or pair.rgb is None or pair.thermal is None or thermal is None):
            return
        area = common_area(registered.weight.cpu().numpy())
        if area is None:
            for method, record in pending.records.items():
                pending.records[method] = replace(
                    record, reason=f'not measured: the images share less than {LEAST_SIDE} pixels')
            return
        truth = self._truth.true_map(
            outcome.name, pair.rgb.stamp_ns, pair.rgb.size, pair.thermal.size)
        pending.registration = self._threads.submit(
            registration_figures, thermal, pair.rgb.image, area, registered.deformation, truth)
        for method, result in outcome.results.items():
            pending.metrics[method] = self._threads.submit(
                fusion_figures, result.fused, thermal, pair.rgb.image, area, self._keys)

    def _append(self, pending: _Pending) -> None:
        """Queue a pair, and write those in front that are complete or wait too long."""
        self.pairs += 1
        self._queue.append(pending)
        waiting = sum(one.busy for one in self._queue)
        while self._queue and (waiting > self._most_waiting or not self._queue[0].busy):
            waiting -= self._queue[0].busy
            self._write(self._queue.popleft())

    def _flush(self) -> None:
        while self._queue:
            self._write(self._queue.popleft())

    def _write(self, pending: _Pending) -> None:
        """Complete the records of a pair and write them."""
        registration, trouble = _result(pending.registration)
        for method, output in self._outputs.items():
            record = replace(pending.records[method], registration=registration)
            metrics, failed = _result(pending.metrics.get(method))
            if (failed or trouble) and not record.error:
                record = replace(record, error=f'figures failed: {failed or trouble}')
            if metrics is not None:
                record = replace(record, metrics=metrics)
                self._offer(output.gallery, record, pending.results[method],
                            pending.found.get(method, {}))
            output.writer.record(record)
            if method in pending.objects:
                output.writer.objects(pending.objects[method])

    def _offer(self, gallery: Gallery, record: PairRecord, result: FusionResult,
               found: Found) -> None:
        value = None if record.metrics is None else record.metrics.get(self._ranked_by)
        if value is not None:
            gallery.offer(value, record.index, record.time_s,
                          lambda: pictures_of(result, self._params.thermal, found))


def _with_total(latency_ms: Mapping[str, float], result: FusionResult | None) -> dict[str, float]:
    """Add the sum of all stages; a pair that was not fused has none."""
    stages = {stage: value for stage, value in latency_ms.items()
              if stage not in ('publish', 'total')}  # replay's own, of the first method alone
    if result is not None:
        stages['total'] = sum(stages.values())
    return stages


def _result(future: Future[Figures] | None) -> tuple[Figures | None, str]:
    """What a future holds, or why it holds nothing."""
    if future is None:
        return None, ''
    error = future.exception()
    if error is None:
        return future.result(), ''
    if isinstance(error, Exception):
        return None, words_of(error)
    raise error
