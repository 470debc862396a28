# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Conditions under which an evaluation fails, for the continuous integration of others.

    CONDITION := METHOD '.' FIGURE OPERATOR NUMBER
    METHOD    := name of a fusion method | 'fused' (each method)
    OPERATOR  := '<' | '<=' | '>' | '>='
    FIGURE    := METRIC                          mean of a fusion metric: VIF, MI_mean, MS-SSIM
               | 'registration.' METRIC          mean of a registration metric: registration.EPE
               | 'latency.' STAGE '.' PERCENTILE in ms: latency.total.p99, latency.fusion.p50
               | 'detection.' MODALITY '.' KEY   detection.fused.AP50, detection.thermal.recall
               | 'flicker.' KEY                  flicker.ratio
               | 'failed' | 'pairs'              number of pairs

A condition that holds fails the evaluation: `fused.VIF<0.4` fails where the mean VIF of any method
is below 0.4. A figure that nobody has measured fails it as well.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ivif_ros.errors import ParameterError
from ivif_ros.evaluation.records import MODALITIES, Summary
from ivif_ros.metrics.catalogue import DETECTION, FUSION, OTHER_CONVENTION, REGISTRATION, VIDEO

EVERY_METHOD = 'fused'
STAGES = ('sync', 'thermal', 'registration', 'warp', 'fusion', 'detection', 'total')
PERCENTILES = ('p50', 'p90', 'p99')
COUNTS = ('pairs', 'failed')
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    '<': operator.lt, '<=': operator.le, '>': operator.gt, '>=': operator.ge}
_CONDITION = re.compile(r'\s*(?P<name>[^<>=!]+?)\s*(?P<sign>[<>]=?)\s*(?P<limit>[^<>=\s]+)\s*')


@dataclass(frozen=True)
class Verdict:
    """What became of a condition.

    Attributes:
        text: the condition.
        failed: whether it held for any method, or could not be checked.
        words: what was found, in one line.
    """

    text: str
    failed: bool
    words: str


@dataclass(frozen=True)
class Threshold:
    """One condition; see the module.

    Attributes:
        text: as it was given.
        methods: whom it is about.
        figure: parts of the name of the figure.
        sign: operator.
        limit: number.
    """

    text: str
    methods: tuple[str, ...]
    figure: tuple[str, ...]
    sign: str
    limit: float

    def judge(self, summary: Summary) -> Verdict:
        """Check the condition on the figures of an evaluation."""
        found = {method: self._value(summary, method) for method in self.methods}
        unknown = [method for method, value in found.items() if value is None]
        if unknown:
            return Verdict(self.text, True, f"{'.'.join(self.figure)} of {', '.join(unknown)} was "
                           'not measured')
        held = {method: value for method, value in found.items()
                if value is not None and _OPERATORS[self.sign](value, self.limit)}
        told = held or {method: value for method, value in found.items() if value is not None}
        return Verdict(self.text, bool(held), ', '.join(
            f"{method}.{'.'.join(self.figure)} is {value:.4g}" for method, value in told.items()))

    def _value(self, summary: Summary, method: str) -> float | None:
        result = summary.methods.get(method)
        if result is None:
            return None
        first, *rest = self.figure
        if first in COUNTS:
            return float(result.pairs if first == 'pairs' else result.failed)
        if first == 'latency':
            return result.latency_ms.get(rest[0], {}).get(rest[1])
        if first == 'flicker':
            return (result.flicker or {}).get(rest[0])
        if first == 'detection':
            figures = ((summary.detection or {}).get(method) or {}).get(rest[0], {})
            value = figures.get(rest[1])
            return None if value is None else float(value)
        estimates = result.registration if first == 'registration' else result.metrics
        estimate = estimates.get(rest[0] if rest else first)
        return None if estimate is None else estimate.mean


def parse_threshold(text: str, methods: Sequence[str]) -> Threshold:
    """Read a condition.

    Args:
        text: such as `fused.VIF<0.4`.
        methods: those that are evaluated.

    Raises:
        ParameterError: it is no condition, or names a method or figure that does not exist.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ParameterError(
            f"--fail-if '{text}' is no condition, expected METHOD.FIGURE, one of < <= > >=, and a "
            'number, such as fused.VIF<0.4')
    try:
        limit = float(match['limit'])
    except ValueError as error:
        raise ParameterError(
            f"--fail-if '{text}': '{match['limit']}' is no number") from error
    if limit != limit:
        raise ParameterError(f"--fail-if '{text}' compares with NaN, which never holds")
    name = match['name']
    # Names of methods may hold dots (onnx:net.v2.onnx): the longest one that fits is meant.
    known = sorted((*methods, EVERY_METHOD), key=len, reverse=True)
    method = next((one for one in known if name.startswith(f'{one}.')), None)
    if method is None:
        raise ParameterError(
            f"--fail-if '{text}': '{name}' names none of the methods that are evaluated, expected "
            f"{', '.join(f'{one}.FIGURE' for one in (EVERY_METHOD, *methods))}")
    figure = tuple(name.removeprefix(f'{method}.').split('.'))
    _check_figure(text, figure)
    return Threshold(text, tuple(methods) if method == EVERY_METHOD else (method,), figure,
                     match['sign'], limit)


def _check_figure(text: str, figure: tuple[str, ...]) -> None:
    """Make sure that a figure can exist."""
    first, *rest = figure
    groups: dict[str, tuple[Sequence[str], ...]] = {
        'latency': (STAGES, PERCENTILES), 'detection': (MODALITIES, tuple(DETECTION)),
        'registration': (tuple(REGISTRATION),), 'flicker': (tuple(VIDEO),)}
    if first not in groups:
        choices: list[Sequence[str]] = [
            [*FUSION, *OTHER_CONVENTION.values(), *COUNTS, *groups]]
        parts = [first, *rest]
    else:
        choices, parts = list(groups[first]), rest
    for part, allowed in zip(parts, choices, strict=False):
        if part not in allowed:
            lower = {name.lower(): name for name in allowed}
            near = difflib.get_close_matches(part.lower(), lower, 1, 0.5)
            hint = f"; did you mean '{lower[near[0]]}'?" if near else ''
            raise ParameterError(f"--fail-if '{text}': there is no '{part}', expected one of "
                                 f"{', '.join(allowed)}{hint}")
    if len(parts) != len(choices):
        example = {'latency': 'latency.total.p99', 'detection': 'detection.fused.AP50',
                   'registration': 'registration.EPE', 'flicker': 'flicker.ratio'}
        raise ParameterError(f"--fail-if '{text}': '{'.'.join(figure)}' is no figure, expected "
                             f"something like {example.get(first, 'VIF')}")
