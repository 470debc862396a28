# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flicker of every fusion method on real video, in one table.

`python benchmarks/flicker.py [--methods a,b] [--steadiness S,S] [--data DIR] [--every N]
[--frames N] [--start N] [--jitter PERCENT] [--json FILE] [--device D] [--threads T]`. DIR holds
registered videos of the same names in `rgb/` and `thermal/`. The figures are explained in
`ivif_ros/metrics/video.py`; `ratio` is flicker over that of the less steady input, so that 1 is as
steady as the inputs. Frames are fused as a stream, once for each value of the parameter
`fusion.steadiness`; with 0 each pair is fused for itself. `--jitter` adds noise to exposure (RGB)
and gain (thermal), a new random value for each frame.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ivif_ros.errors import IvifError
from ivif_ros.fusion import FusionEngine, registry
from ivif_ros.metrics.video import FlickerMeter
from ivif_ros.parameters import FusionParameters
from ivif_ros.types import Array

TEXT = ('video', 'method')
COLUMNS = ('steadiness', 'fused', 'rgb', 'thermal', 'ratio', 'unexplained', 'consistency',
           'contrast_ratio', 'still')
SEED = 5


def frames(folder: Path, name: str, args: argparse.Namespace) -> Iterator[tuple[Array, Array]]:
    """Decode BGR and grey frames that belong together, as many as are asked for."""
    captures = [cv2.VideoCapture(str(next((folder / kind).glob(f'{name}.*'))))
                for kind in ('rgb', 'thermal')]
    rng = np.random.default_rng(SEED)
    try:
        index = given = 0
        while given < args.frames:
            images = [capture.read()[1] for capture in captures]
            if any(image is None for image in images):
                return
            if index >= args.start and (index - args.start) % args.every == 0:
                given += 1
                rgb, thermal = images[0], cv2.cvtColor(images[1], cv2.COLOR_BGR2GRAY)
                if args.jitter:
                    exposure, gain = np.exp(rng.normal(0, args.jitter / 100, 2))
                    rgb = cv2.convertScaleAbs(rgb, alpha=exposure)
                    thermal = cv2.convertScaleAbs(thermal, alpha=gain)
                yield rgb, thermal
            index += 1
    finally:
        for capture in captures:
            capture.release()


def measure(engines: dict[tuple[str, float], FusionEngine], name: str, args: argparse.Namespace
            ) -> list[dict[str, Any]]:
    """Fuse one video with every engine (by method and steadiness) and measure its flicker."""
    meters = {key: FlickerMeter() for key in engines}
    follows = False
    for rgb, thermal in frames(args.data, name, args):
        grey = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
        for key, engine in engines.items():
            fused = engine.fuse(*(torch.from_numpy(x).to(engine.device) for x in (rgb, thermal)),
                                follows=follows)
            meters[key].add(cv2.cvtColor(fused.cpu().numpy(), cv2.COLOR_BGR2GRAY), thermal, grey)
        follows = True
    return [{'video': name, 'method': method, 'steadiness': steadiness,
             **dataclasses.asdict(meter.result())}
            for (method, steadiness), meter in meters.items()]


def steadinesses(text: str) -> list[float]:
    """Read numbers separated by commas."""
    return [float(item) for item in text.split(',')]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split('\n')[0])
    default = os.environ.get('IVIF_DATA', str(Path(__file__).parents[2] / 'shared' / 'data'))
    parser.add_argument('--methods', default=','.join(registry.names()),
                        help='methods, separated by commas')
    parser.add_argument('--steadiness', type=steadinesses,
                        default=[0.0, FusionParameters().steadiness],
                        help='values of fusion.steadiness, separated by commas')
    parser.add_argument('--data', type=Path, default=Path(default) / 'm3svd',
                        help='folder with rgb/ and thermal/')
    parser.add_argument('--every', type=int, default=1, help='take every Nth frame')
    parser.add_argument('--frames', type=int, default=60, help='most frames of each video')
    parser.add_argument('--start', type=int, default=0, help='first frame')
    parser.add_argument('--jitter', type=float, default=0.0, help='simulated noise of exposure and '
                        'of thermal gain, standard deviation in percent')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads; 0 leaves the default')
    args = parser.parse_args()
    if args.every < 1 or args.frames < 2 or args.start < 0 or args.jitter < 0:
        parser.error('--every must be at least 1, --frames 2, --start and --jitter 0')
    return args


def main() -> int:
    """Measure, print the table and write the JSON."""
    args = parse()
    names = sorted({path.stem for path in (args.data / 'rgb').glob('*.*')}
                   & {path.stem for path in (args.data / 'thermal').glob('*.*')})
    if not names:
        print(f'no videos under {args.data}, expected the same names in rgb/ and thermal/; set '
              '--data or IVIF_DATA', file=sys.stderr)
        return 1
    engines = {}
    for method in args.methods.split(','):
        try:
            engines.update({(method, value): FusionEngine(FusionParameters(
                method=method, device=args.device, threads=args.threads, steadiness=value))
                for value in args.steadiness})
        except IvifError as error:
            print(f'{method} left out: {error}', file=sys.stderr)
    if not engines:
        return 1
    rows = [row for name in names for row in measure(engines, name, args)]
    table = Table(title=f'up to {args.frames} frames from {args.start} on, every {args.every}; '
                  f'jitter {args.jitter:g} %; grey levels')
    for column in (*TEXT, *COLUMNS):
        table.add_column(column, justify='left' if column in TEXT else 'right', no_wrap=True)
    for row in rows:
        table.add_row(*(row[column] for column in TEXT),
                      *(f'{row[column]:.3f}' for column in COLUMNS))
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps({'frames': args.frames, 'every': args.every,
                                         'jitter': args.jitter, 'rows': rows}, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
