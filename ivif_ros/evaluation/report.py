# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation as one page that needs nothing else: figures, plots and pictures.

The page loads nothing from anywhere, and its content security policy forbids it to: what stands in
recordings, labels or errors cannot run as a script. Tables, bars and pictures need no script; plots
and choices do.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivif_ros.errors import MissingDependencyError
from ivif_ros.evaluation.parts import write_atomically
from ivif_ros.evaluation.records import REPORT, RESULTS, Summary, read_results, read_summary
from ivif_ros.evaluation.report_curves import BINS_PER_DECADE, Drawn, draw
from ivif_ros.evaluation.report_findings import drop_bars, findings, mode_bars
from ivif_ros.evaluation.report_frames import browse
from ivif_ros.evaluation.report_tables import (
    class_table,
    detection_table,
    flicker_table,
    fusion_table,
    latency_table,
    recording_tables,
    registration_table,
)
from ivif_ros.evaluation.report_text import (
    count,
    date,
    duration,
    in_stage_order,
    listed,
    number,
    ordinal,
    percent,
    words,
)
from ivif_ros.metrics.catalogue import DETECTION, FUSION, REGISTRATION, VIDEO, Metric

TEMPLATES = Path(__file__).with_name('templates')


def write_report(folder: Path) -> Path:
    """Write report.html from what an evaluation left in a folder.

    Args:
        folder: has summary.json, results.jsonl and, where frames were kept, frames/.

    Returns:
        Path of the page, at most 20 MB.

    Raises:
        SourceError: a file is missing or is not of an evaluation.
        OutputError: the page cannot be written.
        MissingDependencyError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError(
            "the report needs Jinja2: pip install 'ivif_ros[evaluate]', or "
            'apt install python3-jinja2') from error
    summary = read_summary(folder)
    drawn = draw(read_results(folder / RESULTS), len(summary.recordings), len(summary.methods),
                 _stills(summary))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(
        words=words, number=number, percent=percent, duration=duration, ordinal=ordinal)
    environment.globals.update(count=count, listed=listed)
    script = (TEMPLATES / 'report.js').read_text(encoding='utf-8')
    page = environment.get_template('report.html.j2').render(
        **_view(folder, summary, drawn),
        style=(TEMPLATES / 'report.css').read_text(encoding='utf-8'), script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_embedded(_plotted(summary, drawn)))
    path = folder / REPORT
    write_atomically(path, page)
    return path


def _view(folder: Path, summary: Summary, drawn: Drawn) -> dict[str, Any]:
    """Return what the template shows, beside the run."""
    fusion = fusion_table(summary)
    stages, latencies = latency_table(summary)
    pairs = {name: recording.pairs for name, recording in summary.recordings.items()}
    over = sorted({estimate.over for method in summary.methods.values()
                   for estimate in method.metrics.values() if estimate.low is not None})
    detection = summary.detection or {}
    return {
        'summary': summary,
        'run': summary.run,
        'title': (f'{_some(summary.methods, "fusion method")} on '
                  f'{_some(summary.recordings, "recording")}'),
        'subtitle': (f'{listed(list(summary.methods), most=6)} compared'
                     if len(summary.methods) > 1 else 'How good, where and how fast'),
        'started': date(summary.run.started),
        'colours': {name: f'c{index % 10}' + (' more' if index >= 10 else '')
                    for index, name in enumerate(summary.methods)},
        'pairs': sum(pairs.values()),
        'length_s': sum(recording.duration_s for recording in summary.recordings.values()),
        'failed': sum(method.failed for method in summary.methods.values()),
        'dropped': sum(sum(recording.dropped.values())
                       for recording in summary.recordings.values()),
        'findings': findings(summary, fusion),
        'fusion': fusion,
        'over': over,
        'registration': registration_table(summary),
        'flicker': flicker_table(summary),
        'by_recording': recording_tables(summary),
        'detection': detection_table(detection) if detection else None,
        'classes': class_table(detection) if detection else None,
        'found': drawn.found,
        'stages': stages,
        'latencies': latencies,
        'modes': mode_bars(summary.methods),
        'reasons': _alike(drawn.reasons, len(summary.methods)),
        'drops': drop_bars(summary.recordings),
        'failures': sorted(drawn.failures.items(), key=lambda item: -item[1]),
        'left_out': drawn.left_out,
        'has_curves': bool(drawn.curves),
        'frames': browse(folder, drawn.kept, drawn.vif),
        'glossary': [(title, catalogue.values()) for title, catalogue in (
            ('Fusion', FUSION), ('Registration', REGISTRATION), ('Detection', DETECTION),
            ('Video', VIDEO))],
    }


def _stills(summary: Summary) -> list[str]:
    return [name for name, recording in summary.recordings.items() if recording.duration_s <= 0]


def _some(names: Mapping[str, object], noun: str) -> str:
    """Return the only name, or how many there are."""
    return next(iter(names)) if len(names) == 1 else count(len(names), noun)


def _alike(counts: Mapping[str, Counter[str]], methods: int) -> list[tuple[str, Counter[str]]]:
    """Return (method, counts), or one entry without a name where all methods have the same."""
    distinct = {tuple(sorted(each.items())) for each in counts.values()}
    if len(distinct) == 1 and len(counts) == methods:
        return [('', next(iter(counts.values())))]
    return list(counts.items())


def _plotted(summary: Summary, drawn: Drawn) -> dict[str, Any]:
    """Return what the script draws."""
    series = {key for by_method in drawn.curves.values() for curve in by_method.values()
              for key in curve['s']}
    groups: dict[str, list[str]] = {}
    for key in sorted(series):
        prefix, _, name = key.partition(':')
        groups.setdefault(prefix, []).append(name)

    def known(prefix: str, catalogue: Mapping[str, Metric]) -> list[list[str]]:
        return [[key, catalogue[key].title, catalogue[key].unit]
                for key in catalogue if key in groups.get(prefix, [])]

    return {
        'methods': list(summary.methods),
        'recordings': [name for name in summary.recordings if name in drawn.curves],
        'curves': drawn.curves,
        'stills': _stills(summary),
        'stages': in_stage_order(groups.get('latency', [])),
        'metrics': {'metric': known('metric', FUSION),
                    'registration': known('registration', REGISTRATION)},
        'histograms': drawn.histograms,
        'bins_per_decade': BINS_PER_DECADE,
    }


def _embedded(data: object) -> str:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(',', ':'), ensure_ascii=False, allow_nan=False)
    for character in '<>&\u2028\u2029':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text
