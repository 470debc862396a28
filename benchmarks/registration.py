# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well, how often and how fast thermal images are registered, against ECC and doing nothing.

    python benchmarks/registration.py --data DIR [--pairs N] [--json FILE]

DIR holds folders of pairs as `msrs`, `roadscene` (aligned; deformed here by a known homography and
a smooth field) and `roadscene_raw` (a real rig with `truth.json`); those that are missing are
skipped. Errors are mean end-point errors per pair in pixels of an RGB image 640 wide.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from registration_data import Case, raw_cases, warped_cases

from ivif_ros.metrics.registration import endpoint_error
from ivif_ros.registration.maps import dense_map, precomposed, thermal_scale
from ivif_ros.registration.refine import refine
from ivif_ros.types import Array, Deformation

_ECC_WIDTH = 320
_SETS = {'strong': 16.0, 'mild': 5.0, 'aligned': 0.0}


def ours(case: Case, initial: Deformation) -> tuple[Deformation, bool, float]:
    """Refinement of this package: what a node would use, whether accepted, expected error."""
    result = refine(case.rgb, case.thermal, initial)
    expected = result.deformation.residual_px * 640.0 / initial.rgb_size[0]
    return result.deformation, result.accepted, expected


def ecc(case: Case, initial: Deformation) -> tuple[Deformation, bool, float]:
    """OpenCV's ECC for a homography on gradient magnitudes; accepted where it says it converged."""
    width = _ECC_WIDTH
    height = round(width * initial.rgb_size[1] / initial.rgb_size[0])
    to_rgb = Deformation.stretch((width, height), initial.rgb_size).homography
    images = [_gradient(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
              for image in (cv2.cvtColor(case.rgb, cv2.COLOR_BGR2GRAY), case.thermal)]
    warp = np.eye(3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    try:
        _, warp = cv2.findTransformECC(
            images[0], images[1], warp, cv2.MOTION_HOMOGRAPHY, criteria, None, 5)
    except cv2.error:
        return initial, False, float('nan')
    correction = to_rgb @ warp.astype(np.float64) @ np.linalg.inv(to_rgb)
    return precomposed(initial, correction), True, float('nan')


def nothing(case: Case, initial: Deformation) -> tuple[Deformation, bool, float]:
    """The first guess: the thermal image stretched onto the RGB image."""
    return initial, True, float('nan')


METHODS: dict[str, Callable[[Case, Deformation], tuple[Deformation, bool, float]]] = {
    'nothing': nothing, 'ecc': ecc, 'ours': ours}


def _gradient(image: Array) -> Array:
    image = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    return np.asarray(cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0),
                                    cv2.Sobel(image, cv2.CV_32F, 0, 1)))


def cases(data: Path, pairs: int) -> Iterator[tuple[str, Iterator[Case]]]:
    """Name and pairs of each set that is there."""
    for name in ('msrs', 'roadscene'):
        if (data / name).is_dir():
            for label, mean_px in _SETS.items():
                yield f'{name} {label}', warped_cases(data / name, pairs, mean_px)
    if (data / 'roadscene_raw').is_dir():
        yield 'roadscene_raw', raw_cases(data / 'roadscene_raw', pairs)


def measure(case: Case) -> dict[str, dict[str, Any]]:
    """Error, time, acceptance and expected error of each method on one pair."""
    size = case.rgb.shape[1], case.rgb.shape[0]
    initial = Deformation.stretch(size, (case.thermal.shape[1], case.thermal.shape[0]))
    unit = thermal_scale(initial) * size[0] / 640.0
    rows = {}
    for name, method in METHODS.items():
        start = time.perf_counter()
        found, accepted, expected = method(case, initial)
        spent = (time.perf_counter() - start) * 1e3
        error = endpoint_error(dense_map(found), case.truth, case.valid).mean / unit
        rows[name] = {'error': error, 'ms': spent, 'accepted': accepted, 'expected': expected,
                      'moved': found is not initial and not np.array_equal(
                          found.homography, initial.homography)}
    return rows


def summarise(rows: list[dict[str, dict[str, Any]]], method: str) -> dict[str, float]:
    """Figures of one method over one set."""
    before = np.array([row['nothing']['error'] for row in rows])
    own = [row[method] for row in rows]
    error = np.array([row['error'] for row in own])
    moved = np.array([row['moved'] for row in own])
    return {
        'pairs': len(rows), 'mean': float(error.mean()), 'median': float(np.median(error)),
        'better': float((error < before).mean()),
        'worse_of_moved': float((error > before)[moved].mean()) if moved.any() else 0.0,
        'under_1': float((error < 1).mean()), 'under_2': float((error < 2).mean()),
        'under_5': float((error < 5).mean()), 'moved': float(moved.mean()),
        'accepted': float(np.mean([row['accepted'] for row in own])),
        'ms': float(np.median([row['ms'] for row in own]))}


def reliability(rows: list[dict[str, dict[str, Any]]]) -> list[dict[str, float]]:
    """True against expected error of accepted estimates, in bins of the expected error."""
    pairs = np.array([(row['ours']['expected'], row['ours']['error']) for row in rows
                      if row['ours']['accepted']]).reshape(-1, 2)
    table = []
    for low, high in ((0, 2), (2, 3), (3, 4), (4, 6)):
        true = pairs[(pairs[:, 0] >= low) & (pairs[:, 0] < high), 1]
        if len(true):
            table.append({'from': low, 'to': high, 'pairs': len(true),
                          'mean': float(true.mean()), 'p90': float(np.percentile(true, 90))})
    return table


def main() -> int:
    """Run all methods on all sets and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help='folder with the sets of pairs')
    parser.add_argument('--pairs', type=int, default=40, help='pairs per set, 0 for all')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    arguments = parser.parse_args()
    print(f'{"set":20}{"method":9}{"mean":>7}{"median":>7}{"better":>7}{"<1":>6}{"<2":>6}{"<5":>6}'
          f'{"accept":>7}{"moved":>6}{"worse":>6}{"ms":>6}')
    report: dict[str, Any] = {}
    everything = []
    for name, source in cases(arguments.data, arguments.pairs):
        rows = [measure(case) for case in source]
        everything += rows
        report[name] = {method: summarise(rows, method) for method in METHODS}
        for method, figures in report[name].items():
            print(f'{name:20}{method:9}{figures["mean"]:7.2f}{figures["median"]:7.2f}'
                  f'{figures["better"]:7.2f}{figures["under_1"]:6.2f}{figures["under_2"]:6.2f}'
                  f'{figures["under_5"]:6.2f}{figures["accepted"]:7.2f}{figures["moved"]:6.2f}'
                  f'{figures["worse_of_moved"]:6.2f}{figures["ms"]:6.0f}', flush=True)
    if not everything:
        print(f'no set of pairs found in {arguments.data}', file=sys.stderr)
        return 1
    report['reliability'] = reliability(everything)
    print('\nexpected error of accepted estimates against the true one (px at 640 px width)')
    for row in report['reliability']:
        print(f'  {row["from"]} to {row["to"]}: {row["pairs"]:4d} pairs, mean {row["mean"]:.2f}, '
              f'90 % under {row["p90"]:.2f}')
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
