# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well, how surely and how fast thermal images are registered, against OpenCV and nothing.

    python benchmarks/registration.py --data DIR [--pairs N] [--sets A,B] [--json FILE]
                                      [--plot FILE] [--speed]

DIR holds folders of pairs as `msrs`, `roadscene` (aligned; brought to 640x480 and deformed here by
a known homography and a smooth field) and `roadscene_raw` (a real rig with `truth.json`); those
that are missing are skipped. Only pairs that no training has seen are taken
(`ivif_ros/training/data/splits`), and streets of the simulator that none has rendered; the
simulated rigs start from nothing and from their calibration. Errors are mean end-point errors per
pair in pixels of an RGB image 640 wide. `harmed` is the share of pairs that are worse by more than
a pixel than with the first guess. `people` is the error on people and vehicles, `corner` that of
the corners under the estimated homography in percent of the image diagonal. `repeat` is how far the
estimate for a deformed image lies from the estimate for the image before, carried along by the
known deformation: what is wrong in the alignment of the data set is no part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from registration_confidence import (
    confidence_report,
    expected_error,
    plot_confidence,
    print_confidence,
)
from registration_data import (
    ALIGNED,
    REFERENCE_WIDTH,
    RIG,
    STRENGTHS,
    Case,
    raw_cases,
    simulated_cases,
    warped_cases,
)
from registration_methods import METHODS
from registration_speed import measure_speed, print_speed

from ivif_ros.registration import dense_map
from ivif_ros.registration.maps import apply_homography, corners, grid_nodes, sample_confidence
from ivif_ros.types import Array, Deformation

_HARM_PX = 1.0
_PIXEL_STEP = 8
_COLUMNS = ('mean', 'median', 'repeat', 'better', 'harmed', 'under_1', 'under_2', 'under_5',
            'accepted', 'people', 'corner', 'ms')


def sets(data: Path, pairs: int, wanted: list[str]) -> Iterator[tuple[str, Iterator[Case]]]:
    """Name and pairs of each set that is there and wanted; all where none is named."""
    found = {f'{name} {label}': partial(warped_cases, data / name, pairs, mean_px)
             for name in ALIGNED if (data / name).is_dir() for label, mean_px in STRENGTHS.items()}
    if (data / RIG).is_dir():
        found[RIG] = partial(raw_cases, data / RIG, pairs)
    found['simulator'] = partial(simulated_cases, pairs, False)
    found['simulator calibrated'] = partial(simulated_cases, pairs, True)
    for name, cases in found.items():
        if not wanted or name in wanted or name.split()[0] in wanted:
            yield name, cases()


def measure(case: Case) -> dict[str, dict[str, Any]]:
    """Figures of each method on one pair, and single pixels of ours."""
    rows = {}
    for name, method in METHODS.items():
        start = time.perf_counter()
        estimate = method(case)
        spent = (time.perf_counter() - start) * 1e3
        found = estimate.deformation
        apart = np.linalg.norm(dense_map(found) - case.truth, axis=2) / case.unit
        rows[name] = {
            'error': float(apart[case.valid].mean()), 'ms': spent, 'accepted': estimate.accepted,
            'people': float('nan'), 'corner': float('nan'), 'repeat': float('nan')}
        if case.original is not None:
            before = method(replace(case, thermal=case.original)).deformation
            rows[name]['repeat'] = repeatability(found, before, case)
        if case.objects is not None and (case.valid & case.objects).any():
            rows[name]['people'] = float(apart[case.valid & case.objects].mean())
        if case.homography is not None:
            rows[name]['corner'] = corner_error(found, case)
        if name == 'ours' and estimate.accepted:
            rows[name]['expected'] = found.residual_px * REFERENCE_WIDTH / found.rgb_size[0]
            rows[name]['pixels'] = pixels(found, apart, case.valid)
    return rows


def repeatability(found: Deformation, before: Deformation, case: Case) -> float:
    """Mean distance of two estimates, one of them carried along by the deformation between them.

    Args:
        found: RGB -> deformed thermal image.
        before: RGB -> thermal image before it was deformed, which has the size of the RGB image.
        case: knows the deformation.

    Returns:
        In pixels of an RGB image 640 wide, over all pixels whose place in the image before is known
        to both.
    """
    place = dense_map(before)
    carried = cv2.remap(case.truth, place[..., 0], place[..., 1], cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_CONSTANT, borderValue=(float('nan'),) * 2)
    apart = np.linalg.norm(dense_map(found) - carried, axis=2)[case.valid]
    return float(np.nanmean(apart) / case.unit)


def corner_error(found: Deformation, case: Case) -> float:
    """Mean distance of the image corners under estimated and true homography.

    Returns:
        In percent of the diagonal of the RGB image.
    """
    outer = corners(found.rgb_size)
    apart = np.linalg.norm(apply_homography(found.homography, outer)
                           - apply_homography(case.homography, outer), axis=1)
    rgb_px = apart / case.unit * found.rgb_size[0] / REFERENCE_WIDTH
    return float(100.0 * rgb_px.mean() / np.hypot(*found.rgb_size))


def pixels(found: Deformation, apart: Array, valid: Array) -> Array:
    """(n, 2) expected and true error of every eighth pixel where the truth is known."""
    steps = slice(_PIXEL_STEP // 2, None, _PIXEL_STEP)
    places = grid_nodes(found.rgb_size, *found.rgb_size)[steps, steps]
    trust = (np.full(places.shape[:2], found.confidence) if found.confidence_map is None
             else sample_confidence(found.confidence_map, found.rgb_size, places))
    known = valid[steps, steps]
    return np.stack([expected_error(trust)[known], apart[steps, steps][known]],
                    axis=1).astype(np.float32)


def summarise(rows: list[dict[str, dict[str, Any]]], method: str) -> dict[str, float | None]:
    """Figures of one method over one set; None where they mean nothing there."""
    before = np.array([row['nothing']['error'] for row in rows])
    own = [row[method] for row in rows]
    error, people, corner, repeat = (
        np.array([row[key] for row in own]) for key in ('error', 'people', 'corner', 'repeat'))
    figures: dict[str, float | None] = {
        'pairs': len(rows), 'mean': float(error.mean()), 'median': float(np.median(error)),
        'better': float((error < before).mean()) if before.any() else None,
        'harmed': float((error > before + _HARM_PX).mean()),
        'under_1': float((error < 1).mean()), 'under_2': float((error < 2).mean()),
        'under_5': float((error < 5).mean()),
        'accepted': float(np.mean([row['accepted'] for row in own])),
        'ms': float(np.median([row['ms'] for row in own])),
        'people': None, 'people_median': None, 'corner': None, 'corner_under_1': None,
        'repeat': None, 'repeat_median': None}
    if not np.isnan(repeat).all():
        figures['repeat'] = float(np.nanmean(repeat))
        figures['repeat_median'] = float(np.nanmedian(repeat))
    if not np.isnan(people).all():
        figures['people'] = float(np.nanmean(people))
        figures['people_median'] = float(np.nanmedian(people))
    if not np.isnan(corner).all():
        figures['corner'] = float(np.nanmedian(corner))
        figures['corner_under_1'] = float((corner < 1.0).mean())
    return figures


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    default = os.environ.get('IVIF_DATA', str(Path(__file__).parents[2] / 'shared' / 'data'))
    parser.add_argument('--data', type=Path, default=Path(default),
                        help='folder with the sets of pairs')
    parser.add_argument('--pairs', type=int, default=0, help='pairs per set, 0 for all')
    parser.add_argument('--sets', default='', help='sets, separated by commas, such as msrs or '
                        '"msrs strong"; all by default')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--plot', type=Path, help='draw the curves of the confidence to this file')
    parser.add_argument('--speed', action='store_true', help='also measure times in turns')
    args = parser.parse_args()
    if args.pairs < 0:
        parser.error('--pairs must be at least 0')
    return args


def main() -> int:
    """Run all methods on all sets and print the tables."""
    args = parse()
    print(f'{"set":21}{"method":9}' + ''.join(f'{name:>9}' for name in _COLUMNS))
    report: dict[str, Any] = {'sets': {}}
    expected: list[tuple[float, float]] = []
    samples: list[Array] = []
    for name, cases in sets(args.data, args.pairs, [s for s in args.sets.split(',') if s]):
        rows = [measure(case) for case in cases]
        if not rows:
            continue
        report['sets'][name] = {method: summarise(rows, method) for method in METHODS}
        for method, figures in report['sets'][name].items():
            print(f'{name:21}{method:9}' + ''.join(
                f'{"-":>9}' if figures[column] is None else f'{figures[column]:9.2f}'
                for column in _COLUMNS), flush=True)
        accepted = [row['ours'] for row in rows if row['ours']['accepted']]
        expected += [(row['expected'], row['error']) for row in accepted]
        samples += [row['pixels'] for row in accepted]
    if not report['sets']:
        print(f'no set of pairs found in {args.data}', file=sys.stderr)
        return 1
    pairs = np.array(expected, np.float64).reshape(-1, 2)
    report['confidence'] = confidence_report(
        pairs, np.concatenate([np.empty((0, 2), np.float32), *samples]).astype(np.float64))
    print_confidence(report['confidence'])
    if args.speed:
        report['speed'] = measure_speed(next(simulated_cases(1, False)))
        print_speed(report['speed'])
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    if args.plot and len(pairs):
        plot_confidence(report['confidence'], pairs, args.plot)
    return 0


if __name__ == '__main__':
    sys.exit(main())
