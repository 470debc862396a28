# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the figures of an evaluation say, in sentences that claim no more than the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from ivif_ros.evaluation.records import MethodSummary, RecordingSummary, Summary
from ivif_ros.evaluation.report_tables import ALL_METHODS, LEADING, Cell, Table
from ivif_ros.evaluation.report_text import (
    count,
    finite,
    interval,
    listed,
    milliseconds,
    number,
    percent,
    words,
)

LEADING_ALONE = ('VIF', 'Qabf', 'SSIM', 'dE')
"""Metrics that speak for a method that is compared with no other."""
WORTH_A_HINT_MS = 2.0
"""Time offset between the cameras from which a report advises to set it."""

Tone = Literal['plain', 'good', 'bad']


@dataclass(frozen=True)
class Finding:
    """One sentence or two.

    Attributes:
        title: what it is about, in a word or two.
        text: what was found.
        tone: whether it is good news, bad news, or neither.
    """

    title: str
    text: str
    tone: Tone = 'plain'


def findings(summary: Summary, fusion: Table) -> list[Finding]:
    """Say what a reader should know before the tables."""
    said = [_best(summary, fusion), _where(summary), _detection(summary), _registration(summary),
            _speed(summary), *_offsets(summary), _losses(summary), _thresholds(summary)]
    return [finding for finding in said if finding is not None]


def _best(summary: Summary, fusion: Table) -> Finding | None:
    """Say which method leads in how many metrics and by how much in the leading one."""
    if not fusion.columns:
        return Finding('Fusion quality', 'No pair was measured.', 'bad')
    means = _leading(summary)
    ranked = sorted(means, key=lambda method: -means[method])
    if len(summary.methods) == 1:
        return Finding('Fusion quality', ', '.join(
            f'{column.metric.key} {_said(column.cells[0])}' for column in fusion.columns
            if column.metric.key in LEADING_ALONE) + '.')
    text = ''
    if len(ranked) > 1:
        first, second = ranked[:2]
        cells = next(column for column in fusion.columns if column.metric.key == LEADING).cells
        ahead, behind = (cells[fusion.rows.index(method)] for method in (first, second))
        sure = ('' if not (ahead.interval and behind.interval) else
                '; the intervals overlap, so the lead is not certain' if behind.mark == 'close' else
                '; the intervals do not overlap')
        text = (f'Highest {LEADING}: {first} with {_said(ahead)}, then {second} with '
                f'{_said(behind)}{sure}. ')
    judged = [column for column in fusion.columns if any(cell.mark for cell in column.cells)]
    wins = Counter({method: sum(column.cells[row].mark == 'best' for column in judged)
                    for row, method in enumerate(fusion.rows)})
    if judged:
        text += (f'Best mean in {count(len(judged), "metric")}: '
                 + listed([f'{method} {n}' for method, n in wins.most_common() if n], most=6) + '.')
    return Finding('Comparison', text.strip()) if text else None


def _said(cell: Cell) -> str:
    return f'{cell.text} ({cell.interval})' if cell.interval else cell.text


def _leading(summary: Summary) -> dict[str, float]:
    """Return the mean of the leading metric of each method that has one."""
    return {name: mean for name, method in summary.methods.items()
            if LEADING in method.metrics
            and (mean := finite(method.metrics[LEADING].mean)) is not None}


def _where(summary: Summary) -> Finding | None:
    """Say where the best method is best and worst."""
    means = _leading(summary)
    if len(summary.recordings) < 2 or not means:
        return None
    method = max(means, key=means.__getitem__)
    places = {name: value for name, recording in summary.recordings.items()
              if (value := finite(recording.methods.get(method, {}).get(LEADING))) is not None}
    if len(places) < 2:
        return None
    high, low = max(places, key=places.__getitem__), min(places, key=places.__getitem__)
    return Finding('Where', f'{method} does best on {high} ({LEADING} {number(places[high], 3)}) '
                            f'and worst on {low} ({number(places[low], 3)}).')


def _detection(summary: Summary) -> Finding | None:
    """Say whether detection gains from fusion."""
    if not summary.detection:
        return None
    scores: dict[str, dict[str, float]] = {'rgb': {}, 'thermal': {}, 'fused': {}}
    for method, by_modality in summary.detection.items():
        for modality, figures in by_modality.items():
            value = finite(figures.get('AP50'))
            if modality in scores and value is not None:
                scores[modality][method] = value
    alone = {name: max(scores[name].values()) for name in ('rgb', 'thermal') if scores[name]}
    if not alone or not scores['fused']:
        return None
    method = max(scores['fused'], key=scores['fused'].__getitem__)
    fused, better = scores['fused'][method], max(alone.values())
    sides = listed([f'{number(value, 3)} on {"RGB" if name == "rgb" else name} images alone'
                    for name, value in alone.items()])
    objects = summary.detection[method]['fused'].get('objects')
    labelled = f', {count(objects, "labelled object")}' if isinstance(objects, int) else ''
    verdict = ('more than on either camera' if fused > better else 'as on the better camera'
               if fused == better else 'less than on the better camera')
    return Finding('Detection', f'AP50 {number(fused, 3)} on images fused by {method}: {verdict} '
                                f'({sides}{labelled}).', 'good' if fused > better else 'plain')


def _registration(summary: Summary) -> Finding | None:
    """Say how far the registration is off where the truth is known."""
    for method in summary.methods.values():
        error = method.registration.get('EPE')
        if error is not None and (mean := finite(error.mean)) is not None:
            sure = interval(error.low, error.high, 2)
            return Finding('Registration', f'The registered thermal image is off by '
                           f'{number(mean, 2)} px on average{f" ({sure})" if sure else ""}.')
    return None


def _speed(summary: Summary) -> Finding | None:
    """Say how long the fusion of a pair takes."""
    fusion = {name: method.latency_ms['fusion'] for name, method in summary.methods.items()
              if finite(method.latency_ms.get('fusion', {}).get('p50')) is not None}
    if not fusion:
        return None
    ranked = sorted(fusion, key=lambda name: fusion[name]['p50'])

    def said(name: str) -> str:
        late = milliseconds(fusion[name].get('p99'))
        return (f'{milliseconds(fusion[name]["p50"])} ms with {name} '
                f'(99\N{NO-BREAK SPACE}% within {late} ms)')

    text = f'Fusing a pair takes {said(ranked[0])}'
    if len(ranked) > 1:
        text += f' to {said(ranked[-1])}'
    device = summary.run.machine.get('cpu' if summary.run.machine.get('device') == 'cpu' else
                                     'device', '')
    return Finding('Speed', f'{text}, median{f", on {device}" if device else ""}.')


def _offsets(summary: Summary) -> list[Finding]:
    """Advise on time offsets worth correcting."""
    return [Finding('Clocks', f'The cameras of {name} are {number(abs(offset), 1)} ms apart: set '
                              f'sync.thermal_offset_ms to {number(offset, 1)}.', 'bad')
            for name, recording in summary.recordings.items()
            if (offset := finite(recording.time_offset_ms)) is not None
            and abs(offset) >= WORTH_A_HINT_MS]


def _losses(summary: Summary) -> Finding:
    """Say what was lost; nothing lost is worth saying, too."""
    failed = sum(method.failed for method in summary.methods.values())
    dropped: dict[str, int] = {}
    for recording in summary.recordings.values():
        for reason, n in recording.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + n
    broken = [(name, method) for name, recording in summary.recordings.items()
              for method in recording.errors]
    parts = []
    if broken:
        parts.append('No result at all from '
                     + listed([f'{method} on {name}' for name, method in broken]))
    if failed:
        tried = failed + sum(method.pairs for method in summary.methods.values())
        parts.append(f'{count(failed, "pair")} of {tried:,} failed ({percent(failed, tried)})')
    if dropped:
        most = max(dropped, key=dropped.__getitem__)
        parts.append(f'{count(sum(dropped.values()), "frame or pair", "frames or pairs")} gave no '
                     f'output, most often for the reason “{words(most)}”')
    if not parts:
        return Finding('Losses', 'Every pair was fused without an error and no frame was dropped.',
                       'good')
    return Finding('Losses', '. '.join(parts) + '.', 'bad' if broken or failed else 'plain')


def _thresholds(summary: Summary) -> Finding | None:
    """Say whether the evaluation has failed, by the conditions of whoever asked for it."""
    conditions = summary.run.thresholds
    if not conditions:
        return None
    true = [condition for condition, passed in conditions.items() if not passed]
    if not true:
        return Finding('Thresholds', 'Passed: it would have failed if '
                       + listed(list(conditions), 'or', most=8) + '.', 'good')
    return Finding('Thresholds', f'Failed, because of {listed(true, most=8)}'
                   + (f' ({len(true)} of {len(conditions)} conditions)' if len(conditions) > 1
                      else '') + '.', 'bad')


@dataclass(frozen=True)
class Bar:
    """One row of bars, with shares of the longest or of the whole in percent."""

    name: str
    parts: list[tuple[str, int, float, str]]
    """(what, number, width in percent, share as text)"""


def mode_bars(methods: dict[str, MethodSummary]) -> list[Bar]:
    """Return how the pairs of each method were made, failed ones included; once where all agree."""
    bars = []
    for name, method in methods.items():
        counts = {**method.modes, **({'failed': method.failed} if method.failed else {})}
        whole = sum(counts.values())
        bars.append(Bar(name, [(mode, n, round(100 * n / whole, 3), percent(n, whole))
                               for mode, n in counts.items() if n]))
    if len(bars) > 1 and all(bar.parts == bars[0].parts for bar in bars):
        return [Bar(ALL_METHODS, bars[0].parts)]
    return bars


def drop_bars(recordings: dict[str, RecordingSummary]) -> list[Bar]:
    """Return for each reason how often it cost a frame or pair, in each recording; most first."""
    reasons = {reason for recording in recordings.values()
               for reason, n in recording.dropped.items() if n}
    totals = {reason: sum(recording.dropped.get(reason, 0) for recording in recordings.values())
              for reason in reasons}
    longest = max(totals.values(), default=1)
    return [Bar(reason, [(name, n, round(100 * n / longest, 3), '')
                         for name, recording in recordings.items()
                         if (n := recording.dropped.get(reason, 0))])
            for reason in sorted(totals, key=lambda reason: (-totals[reason], reason))]
