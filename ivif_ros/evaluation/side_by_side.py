# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline of the robot with several fusion methods behind one registration.

What comes before fusion does not depend on the method: it is done once for each pair, and each
method gets the same registered pair, as the split nodes do. So methods are compared on exactly the
same inputs, and the costly half of the work is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ivif_ros.errors import ImageError
from ivif_ros.parameters import Parameters
from ivif_ros.parameters.spec import replace as changed
from ivif_ros.pipeline import Pipeline, Registered
from ivif_ros.types import Frame, FramePair, FusionResult


@dataclass(frozen=True, eq=False)
class Outcome:
    """One pair by all methods.

    Attributes:
        pair: the input.
        index: number of the pair, from 0.
        measured: whether figures of it are wanted.
        registered: what the methods got; None where the pair could not be used.
        results: method -> its result; methods that failed or were not run are missing.
        errors: method -> why it failed.
        name: stem of the files of a still; empty in a stream.
        waited_ms: time of the stream that the pair waited for its partner.
    """

    pair: FramePair
    index: int
    measured: bool
    registered: Registered | None
    results: dict[str, FusionResult]
    errors: dict[str, str]
    name: str = ''
    waited_ms: float = 0.0


class SideBySide(Pipeline):
    """A pipeline whose `process` gives each pair to several methods.

    Where the fused image of a pair does not depend on the pairs before (`fusion.steadiness` is 0),
    only the pairs that are measured are fused. A method that fails on a pair does not stop the
    others, nor itself on the next pair.

    Args:
        params: all parameters; `fusion.method` is replaced by each of `methods`.
        methods: names of fusion methods.
        every: each how many-th pair is measured, from the first one on.
        take: gets each pair, also those that could not be used.

    Raises:
        CalibrationError: the calibration file is missing or wrong.
        ParameterError: unknown fusion method or device.
        WeightsError: weights are missing or damaged.
        MissingDependencyError: a package that a method needs is not installed.
    """

    def __init__(self, params: Parameters, methods: Sequence[str], every: int,
                 take: Callable[[Outcome], None]) -> None:
        """Create the stages, and the fusion of each method."""
        first, *others = methods
        super().__init__(_with_method(params, first), beside=True)
        self._methods: dict[str, Pipeline] = {first: self}
        for method in others:
            self._methods[method] = Pipeline(_with_method(params, method), counters=self.counters)
        self._every = every
        self._take = take
        self._index = 0
        self._waiting: Outcome | None = None

    @property
    def fuses_all(self) -> bool:
        """Whether every pair is fused, also those that are not measured."""
        return self._every == 1 or self.params.fusion.steadiness > 0

    def reset(self) -> None:
        """Forget the images of the stream, of all methods."""
        super().reset()
        for pipeline in self._others():
            pipeline.reset()

    def close(self) -> None:
        """Free device memory."""
        super().close()
        for pipeline in self._others():
            pipeline.close()

    def process(self, pair: FramePair, *, detect: bool = False,
                contribution: bool = False) -> FusionResult:
        """Fuse one pair by all methods; `on_result` must follow.

        Returns:
            The result of one of the methods, or that of the registration alone where none has
            fused: for the figures of the replay, the rest goes to `take`.

        Raises:
            ImageError: the pair cannot be used.
        """
        del detect, contribution  # found in all three images, and measured, by whom `take` tells
        index = self._next()
        try:
            registered = self.register(pair, warp=self._fuses(index))
        except Exception as error:  # whatever a pair does, the recording goes on
            self._take(self._unusable(pair, index, error))
            if isinstance(error, ImageError):
                raise
            raise ImageError(words_of(error), 'failed') from error
        outcome = self._fused(pair, index, registered)
        self._waiting = outcome
        result = next(iter(outcome.results.values()), None)
        return result if result is not None else unfused(registered)

    def on_result(self, result: FusionResult) -> None:
        """Complete the pair of the last `process`; for `replay`."""
        outcome, self._waiting = self._waiting, None
        assert outcome is not None, 'process comes first'
        self._take(replace(outcome, waited_ms=result.latency_ms.get('sync', 0.0)))

    def process_named(self, name: str, rgb: Frame, thermal: Frame) -> None:
        """Fuse a pair that stands alone by all methods."""
        index = self._next()
        pair = FramePair(rgb, thermal, thermal.stamp_ns - rgb.stamp_ns)
        try:
            registered = self.register_still(rgb, thermal)
        except Exception as error:  # as in process
            outcome = self._unusable(pair, index, error)
        else:
            outcome = self._fused(pair, index, registered)
        self._take(replace(outcome, name=name))

    def leave_out(self) -> int:
        """Count a pair that could not even be read; returns its number."""
        return self._next()

    def _next(self) -> int:
        self._index += 1
        return self._index - 1

    def _fuses(self, index: int) -> bool:
        return self.fuses_all or index % self._every == 0

    def _others(self) -> list[Pipeline]:
        return [pipeline for pipeline in self._methods.values() if pipeline is not self]

    def _fused(self, pair: FramePair, index: int, registered: Registered) -> Outcome:
        outcome = Outcome(pair, index, index % self._every == 0, registered, {}, {})
        if not self._fuses(index):
            return outcome
        for method, pipeline in self._methods.items():
            try:
                outcome.results[method] = pipeline.fuse(
                    replace(registered, latency_ms=dict(registered.latency_ms)))
            except Exception as error:  # one method on one pair: noted, and on with the next
                outcome.errors[method] = words_of(error)
        return outcome

    def _unusable(self, pair: FramePair, index: int, error: Exception) -> Outcome:
        return Outcome(pair, index, index % self._every == 0, None, {},
                       dict.fromkeys(self._methods, words_of(error)))


def unfused(registered: Registered) -> FusionResult:
    """What is known of a pair that was not fused; its picture is an input."""
    pair = registered.pair
    frame = pair.rgb if pair.rgb is not None else pair.thermal
    assert frame is not None, 'a pair has a frame'
    return FusionResult(pair, registered.mode, registered.reason, frame.image, None,
                        registered.deformation, None, dict(registered.latency_ms))


def _with_method(params: Parameters, method: str) -> Parameters:
    return changed(params, {'fusion.method': method})


def words_of(error: Exception) -> str:
    """What happened, in one line."""
    text = ' '.join(str(error).split()) or 'no message'
    return text if isinstance(error, ImageError) else f'{type(error).__name__}: {text}'
