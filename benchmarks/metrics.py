# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Time of each metric of a pair, and of all of them together.

`python benchmarks/metrics.py [--data DIR] [--size 640x480] [--threads T] [--repeats N]
[--json FILE]`. The pair is the first one of DIR, which holds `rgb/` and `thermal/`, brought to the
size; without DIR the simulator makes it. What is fused is the brighter of both. Each metric runs
alone, in turns with the others; several that share work cost less together. Times are medians and
minima over the repeats: on a machine that others use too, look at the minima.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ivif_ros.memory import keep_freed_memory
from ivif_ros.metrics.catalogue import FUSION
from ivif_ros.metrics.fusion import evaluate
from ivif_ros.metrics.registration import (
    endpoint_error,
    mean_squared_error,
    mutual_information,
    normalised_cross_correlation,
)
from ivif_ros.metrics.video import FlickerMeter
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.types import Array, Size


def read_pair(folder: Path, size: Size) -> tuple[Array, Array]:
    """The first pair of a data set: BGR and grey image of the size."""
    for path in sorted((folder / 'rgb').glob('*')):
        for other in sorted((folder / 'thermal').glob(f'{path.stem}.*')):
            rgb, thermal = cv2.imread(str(path)), cv2.imread(str(other), cv2.IMREAD_GRAYSCALE)
            if rgb is not None and thermal is not None:
                return cv2.resize(rgb, size), cv2.resize(thermal, size)
    raise SystemExit(f'no pair of images of one name under {folder}/rgb and {folder}/thermal')


def simulated_pair(size: Size) -> tuple[Array, Array]:
    """A pair from the simulator, the thermal image stretched to 8 bits and to the size."""
    rig = SimulatedRig(RigConfig())
    thermal = cv2.normalize(rig.render_thermal(1.0).astype(np.float32), None, 0, 255,
                            cv2.NORM_MINMAX).astype(np.uint8)
    return cv2.resize(rig.render_rgb(1.0), size), cv2.resize(thermal, size)


def tasks(rgb: Array, thermal: Array) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    fused = np.maximum(rgb, thermal[..., None])
    grey = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    luma = cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    truth = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32)
    meter = FlickerMeter()
    alone = {key: (lambda key=key: evaluate(fused, thermal, rgb, [key])) for key in FUSION}
    return {**alone, 'all fusion metrics': lambda: evaluate(fused, thermal, rgb),
            'MSE (registration)': lambda: mean_squared_error(thermal, grey),
            'MI (registration)': lambda: mutual_information(thermal, grey),
            'NCC (registration)': lambda: normalised_cross_correlation(thermal, grey),
            'EPE (registration)': lambda: endpoint_error(truth + 1, truth),
            'flicker (a frame)': lambda: meter.add(luma, thermal, grey)}


def measure(timed: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each, taking turns; the first turn is not counted."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeats + 1):
        for name, work in timed.items():
            started = time.perf_counter()
            work()
            if turn:
                times[name].append((time.perf_counter() - started) * 1e3)
    return times


def main() -> int:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data', type=Path, help='data set with rgb/ and thermal/')
    parser.add_argument('--size', default='640x480', help='width x height of the images')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves the default, one for each core')
    parser.add_argument('--repeats', type=int, default=20, help='timed runs of each metric')
    parser.add_argument('--json', type=Path, help='also write the times to this file')
    args = parser.parse_args()
    width, _, height = args.size.partition('x')
    if not (width.isdigit() and height.isdigit()) or min(int(width), int(height)) < 161:
        parser.error(f'--size is {args.size}, expected WIDTHxHEIGHT of at least 161 pixels a side')
    if args.repeats < 1 or args.threads < 0:
        parser.error('--repeats must be at least 1, --threads at least 0')
    size = int(width), int(height)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    times = measure(tasks(*(read_pair(args.data, size) if args.data else simulated_pair(size))),
                    args.repeats)
    rows = [{'metric': name, 'ms': statistics.median(each), 'least_ms': min(each)}
            for name, each in times.items()]
    table = Table(title=f'{args.size}, {torch.get_num_threads()} threads, {args.repeats} runs')
    for name in ('metric', 'median ms', 'least ms'):
        table.add_column(name, justify='left' if name == 'metric' else 'right')
    for row in rows:
        table.add_row(row['metric'], f'{row["ms"]:.2f}', f'{row["least_ms"]:.2f}')
    Console().print(table)
    if args.json:
        args.json.write_text(json.dumps(
            {'size': args.size, 'threads': torch.get_num_threads(), 'rows': rows}, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
