# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well objects are found in RGB, thermal and fused images, in tables with intervals.

`python benchmarks/detection.py [--data DIR] [--json FILE] [--detectors ivif=FILE,coco=FILE]
[--fusion NAME=FILE] [--pictures DIR]`. DIR holds rgb/, thermal/ and labels/ (YOLO text: 0 person,
1 bicycle, 2 car) with registered pairs; of a public data set only the pairs that no training has
seen are used. Each detector sees each camera alone, their mean, our fusion, and that of each
--fusion (weights of a fusion network, for example trained with TDFusion). Intervals hold 95 % of
the draws of a bootstrap over the images; differences are drawn in pairs. The same follows by day
and by night, and with each camera degraded or lost.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from detection_inputs import CONDITIONS, Inputs, degraded, is_night, load_pairs, named, without_nan
from detection_scores import ImageScores, drawn_ap50, draws, figures, interval
from rich.console import Console
from rich.table import Table

from ivif_ros.detection import Detector, draw, load_detector
from ivif_ros.detection.base import OURS, shipped_weights
from ivif_ros.errors import IvifError, ParameterError, WeightsError
from ivif_ros.parameters import DetectionParameters
from ivif_ros.training.agreement import our_classes
from ivif_ros.training.data.labelled import CLASSES, LabelledPairs
from ivif_ros.types import Array, Detections

LOWEST_SCORE = 0.001
SHOWN_SCORE = 0.25
TURNS = 30
ROOT = Path(__file__).resolve().parents[2] / 'shared'
COCO = 'yolo11n_int8_coco_openvino_model'
Key = tuple[str, str, str]
"""Detector, input, condition."""


def open_detectors(wanted: list[str]) -> dict[str, Detector]:
    """Load detectors from texts 'name=file', or from the names of those that are known.

    Raises:
        IvifError: a file that cannot be used, or no detector at all.
    """
    known = {OURS: shipped_weights('cpu'),
             'coco': Path(os.environ.get('IVIF_WEIGHTS', ROOT / 'weights')) / COCO}
    files = {}
    for text in wanted or [name for name, path in known.items() if path.exists()]:
        name, given, file = text.partition('=')
        if not given and name not in known:
            raise ParameterError(f"detector '{text}' is unknown, expected NAME=FILE or one of "
                                 f"{', '.join(known)}")
        files[name] = Path(file) if given else known[name]
    if not files:
        raise WeightsError(f"there is no detector: neither '{known[OURS]}' nor the COCO model is "
                           'there; give one with --detectors NAME=FILE')
    found: dict[str, Detector] = {}
    for name, path in files.items():
        detector = load_detector(DetectionParameters(
            weights=str(path), confidence=LOWEST_SCORE), 'cpu')
        assert detector is not None
        nothing = Detections(np.empty((0, 4)), np.empty(0), np.empty(0), detector.names)
        our_classes(nothing)    # says which class is missing
        found[name] = detector
    return found


def measure(pairs: LabelledPairs, detectors: dict[str, Detector], inputs: Inputs,
            conditions: tuple[str, ...], console: Console) -> tuple[
                dict[Key, list[ImageScores]], list[bool]]:
    """Find the objects of all pairs; returns the scores of each image, and which are of night."""
    scores: dict[Key, list[ImageScores]] = {
        (detector, name, condition): [] for condition in conditions for name in inputs.names
        for detector in detectors}
    night = []
    with console.status('detecting') as status:
        for index in range(len(pairs)):
            status.update(f'pair {index + 1} of {len(pairs)}')
            pair = pairs[index]
            night.append(is_night(pair.visible))
            for condition in conditions:
                images = degraded(condition, pair.visible, pair.thermal, index)
                for name in inputs.names:
                    image = inputs.make(name, *images)
                    for key, detector in detectors.items():
                        table = np.empty((0, 6)) if image is None else our_classes(
                            detector.detect(image))
                        scores[key, name, condition].append(
                            ImageScores.of(table, pair.boxes, pair.class_ids))
    return scores, night


def speeds(detectors: dict[str, Detector], image: Array) -> list[dict[str, Any]]:
    """Median time of each detector for an image of 640x480, in turns, in milliseconds."""
    image = cv2.resize(image, (640, 480))
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for turn in range(TURNS + 1):
        for name, detector in detectors.items():
            start = time.perf_counter()
            detector.detect(image)
            if turn:
                times[name].append(1000 * (time.perf_counter() - start))
    return [{'detector': name, 'ms': statistics.median(found)} for name, found in times.items()]


def rows_of(scores: dict[Key, list[ImageScores]], night: list[bool],
            count: int) -> tuple[list[dict[str, Any]], dict[Key, Array]]:
    """Figures of each detector, input and condition, over all pairs and by light."""
    rows: list[dict[str, Any]] = []
    drawn: dict[Key, Array] = {}
    parts = {'all': [True] * len(night), 'day': [not dark for dark in night], 'night': night}
    for light, chosen in parts.items():
        if not any(chosen) or (light != 'all' and all(chosen)):
            continue
        for key, several in scores.items():
            if light != 'all' and key[2] != CONDITIONS[0]:
                continue
            images = [one for one, take in zip(several, chosen, strict=True) if take]
            found = figures(images)
            values = drawn_ap50(images, draws(len(images), count))
            if light == 'all':
                drawn[key] = values
            rows.append({
                'detector': key[0], 'input': key[1], 'condition': key[2], 'light': light,
                'AP50': found['AP50'], 'AP50_interval': interval(values),
                'mAP50-95': found['mAP50-95'], 'precision': found['precision'],
                'recall': found['recall'], 'images': found['images'],
                'objects': found['objects'], 'per_class': found['per_class']})
    return rows, drawn


def differences(scores: dict[Key, list[ImageScores]],
                drawn: dict[Key, Array]) -> list[dict[str, Any]]:
    """AP50 of the first detector on our fusion, less that of every other row, in pairs."""
    first = next(iter(scores))[0]
    ours = (first, 'fused', CONDITIONS[0])
    best = figures(scores[ours])['AP50']
    rows = []
    for key in scores:
        if key[2] == CONDITIONS[0] and key != ours:
            rows.append({'detector': key[0], 'input': key[1],
                         'gain': best - figures(scores[key])['AP50'],
                         'interval': interval(drawn[ours] - drawn[key])})
    return rows


def print_tables(console: Console, title: str, rows: list[dict[str, Any]],
                 gains: list[dict[str, Any]]) -> None:
    """Print the figures of the pairs as they are, then AP50 by light and condition."""
    table = Table(title=title)
    for name in ('detector', 'input', 'AP50', '95 %', 'mAP50-95', 'P', 'R',
                 *(f'{name} AP50' for name in CLASSES), *(f'{name} 50-95' for name in CLASSES)):
        table.add_column(name, justify='left' if name in ('detector', 'input') else 'right')
    plain = [row for row in rows if row['condition'] == CONDITIONS[0]]
    for row in plain:
        if row['light'] == 'all':
            classes = row['per_class']
            table.add_row(
                row['detector'], row['input'], f'{row["AP50"]:.3f}', span(row['AP50_interval']),
                *(f'{row[key]:.3f}' for key in ('mAP50-95', 'precision', 'recall')),
                *(f'{classes[name][key]:.3f}' for key in ('AP50', 'mAP50-95')
                  for name in CLASSES))
    console.print(table)
    if gains:
        table = Table('less', 'input', 'gain in AP50', '95 %',
                      title=f'{plain[0]["detector"]} on fused images, compared')
        for row in gains:
            table.add_row(row['detector'], row['input'], f'{row["gain"]:+.3f}',
                          span(row['interval']))
        console.print(table)
    columns = list(dict.fromkeys(
        (row['light'], row['condition']) for row in rows if row['light'] != 'all')) + list(
        dict.fromkeys((row['light'], row['condition']) for row in rows if row['light'] == 'all'
                      and row['condition'] != CONDITIONS[0]))
    if not columns:
        return
    table = Table('detector', 'input', *(light if light != 'all' else condition
                                         for light, condition in columns),
                  title='AP50 by light and with one camera degraded or lost')
    for key in dict.fromkeys((row['detector'], row['input']) for row in rows):
        cells = {(row['light'], row['condition']): f'{row["AP50"]:.3f}' for row in rows
                 if (row['detector'], row['input']) == key}
        table.add_row(*key, *(cells[column] for column in columns))
    console.print(table)


def span(ends: tuple[float, float]) -> str:
    """An interval as text."""
    return f'{ends[0]:+.3f} {ends[1]:+.3f}' if ends[0] < 0 else f'{ends[0]:.3f} {ends[1]:.3f}'


def draw_pictures(folder: Path, pairs: LabelledPairs, detectors: dict[str, Detector],
                  inputs: Inputs) -> None:
    """Show what each detector finds in RGB, thermal and fused images, at night and in smoke."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(pairs)):
        pair = pairs[index]
        conditions = ['smoke', *([CONDITIONS[0]] if is_night(pair.visible) else [])]
        for condition in conditions:
            images = degraded(condition, pair.visible, pair.thermal, index)
            grid = []
            for detector in detectors.values():
                shown = []
                for name in ('rgb', 'thermal', 'fused'):
                    image = inputs.make(name, *images)
                    assert image is not None
                    found = detector.detect(image)
                    keep = (found.scores >= SHOWN_SCORE) & np.isin(
                        [found.names[int(key)] for key in found.class_ids], CLASSES)
                    shown.append(draw(image, Detections(
                        found.boxes[keep], found.scores[keep], found.class_ids[keep],
                        found.names)))
                grid.append(np.concatenate(shown, axis=1))
            name = f'{pairs.files[index].stem}_{"smoke" if condition == "smoke" else "night"}.png'
            cv2.imwrite(str(folder / name), np.concatenate(grid))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    default = Path(os.environ.get('IVIF_DATA', ROOT / 'data')) / 'roadscene'
    add = parser.add_argument
    add('--data', type=Path, default=default, help='folder with rgb/, thermal/ and labels/')
    add('--json', type=Path, help='also write the rows to this file')
    add('--detectors', default='', help='NAME=FILE, separated by commas; ivif (that of the '
        'package) and coco are known. The first is compared with the others')
    add('--fusion', action='append', default=[], metavar='NAME=FILE',
        help='weights of a fusion network, as one more input')
    add('--pairs', type=int, default=0, help='at most so many pairs, spread evenly; 0 for all')
    add('--draws', type=int, default=500, help='draws of the bootstrap')
    add('--quick', action='store_true', help='only the pairs as they were recorded')
    add('--pictures', type=Path, metavar='DIR', help='also draw what is found at night and in '
        'smoke')
    args = parser.parse_args(arguments)
    if args.pairs < 0 or args.draws < 1:
        parser.error('--pairs must be at least 0 and --draws at least 1')
    console = Console()
    console.width = max(console.width, 150)
    try:
        pairs = load_pairs(args.data, args.pairs)
        inputs = Inputs(named(args.fusion))
        detectors = open_detectors([text for text in args.detectors.split(',') if text])
        scores, night = measure(pairs, detectors, inputs,
                                CONDITIONS[:1] if args.quick else CONDITIONS, console)
        rows, drawn = rows_of(scores, night, args.draws)
        gains = differences(scores, drawn)
        timed = speeds(detectors, pairs[0].visible)
        if args.pictures:
            draw_pictures(args.pictures, pairs, detectors, inputs)
    except IvifError as error:
        print(error, file=sys.stderr)
        return 1
    title = (f'{len(pairs)} unseen labelled pairs of {pairs.name} ({sum(night)} of night), '
             f'{rows[0]["objects"]} objects')
    print_tables(console, title, rows, gains)
    console.print('one image of 640x480 takes', ', '.join(
        f'{row["detector"]} {row["ms"]:.0f} ms' for row in timed), f'({os.cpu_count()} cores)')
    if args.json:
        args.json.write_text(json.dumps(without_nan({
            'data': pairs.name, 'pairs': len(pairs), 'night': sum(night), 'draws': args.draws,
            'classes': CLASSES, 'rows': rows, 'gains': gains, 'speed': timed}), indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
