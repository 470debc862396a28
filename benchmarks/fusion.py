# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality and time of every fusion method on real pairs, in one table.

`python benchmarks/fusion.py [--pairs N] [--methods A,B] [--json FILE] [--data DIR] [--device D]
[--threads T]`. DIR holds the data sets (`msrs/`, `roadscene/`), each with registered pairs in
`rgb/` and `thermal/`. Pairs that training has seen (`ivif_ros/training/data/splits`) are left out,
those that remain are spread evenly. Quality is measured on the luma of the fused colour image; dE
and hue compare its colours with those of the RGB image where that is lit. Times are medians over a
640x480 pair, colour image in to colour image out, methods in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ivif_ros.errors import IvifError
from ivif_ros.fusion import FusionEngine, registry
from ivif_ros.fusion.networks import NETWORKS
from ivif_ros.fusion.weights import load_network
from ivif_ros.metrics.catalogue import FUSION
from ivif_ros.metrics.colour import colour_difference
from ivif_ros.metrics.fusion import evaluate
from ivif_ros.parameters import FusionParameters
from ivif_ros.training.data.splits import known_datasets, split_of

DATASETS = ('msrs', 'roadscene')
DECIMALS = {'EN': 2, 'SD': 1, 'SF': 2, 'AG': 2, 'MI': 2, 'SCD': 2, 'VIF': 3, 'Qabf': 3, 'SSIM': 3,
            'CC': 3, 'dE': 2, 'hue': 2}
BLOCK = 5
"""Pairs that a method fuses one after the other before the next one has its turn."""
Pair = tuple[Any, Any]


def load_pairs(folder: Path, count: int) -> list[Pair]:
    """Read registered pairs that no training has seen, as BGR and grey images."""
    thermal = {path.stem: path for path in (folder / 'thermal').iterdir()}
    colour = sorted(path for path in (folder / 'rgb').iterdir() if path.stem in thermal)
    if folder.name in known_datasets():
        colour = [path for path in colour if split_of(folder.name, path.stem) == 'test']
    chosen = [colour[i * len(colour) // count] for i in range(min(count, len(colour)))]
    return [(cv2.imread(str(path)), cv2.imread(str(thermal[path.stem]), cv2.IMREAD_GRAYSCALE))
            for path in chosen]


def quality(engine: FusionEngine, pairs: list[Pair]) -> dict[str, float]:
    """Mean of each figure over the pairs."""
    rows = []
    for rgb, thermal in pairs:
        fused = engine.fuse(*(torch.from_numpy(x).to(engine.device) for x in (rgb, thermal)))
        image = fused.cpu().numpy()
        found = evaluate(image, thermal, rgb, [name for name in DECIMALS if name in FUSION])
        found['hue'] = colour_difference(image, rgb).hue
        rows.append({name: found[name] for name in DECIMALS})
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def milliseconds(engines: dict[str, FusionEngine], pair: Pair, repeats: int) -> dict[str, float]:
    """Median time of each engine at 640x480, images on the device.

    Methods take turns of BLOCK pairs, as in a stream; the first pair of each turn, which finds the
    caches full of another method's memory, is not counted.
    """
    images = [cv2.resize(image, (640, 480)) for image in pair]
    times: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine.warm_up((640, 480))
    for _ in range(-(-repeats // BLOCK)):
        for name, engine in engines.items():
            tensors = [torch.from_numpy(image).to(engine.device) for image in images]
            for timed in [False] + [True] * BLOCK:
                if engine.device.type == 'cuda':
                    torch.cuda.synchronize(engine.device)
                started = time.perf_counter()
                engine.fuse(*tensors)
                if engine.device.type == 'cuda':
                    torch.cuda.synchronize(engine.device)
                if timed:
                    times[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def parameters_of(method: str) -> int | None:
    """Count the weights of a method that is a network of the package."""
    if method not in NETWORKS:
        return None
    return sum(weight.numel() for weight in load_network(method).parameters())


def main() -> int:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    default = os.environ.get('IVIF_DATA', str(Path(__file__).parents[2] / 'shared' / 'data'))
    parser.add_argument('--pairs', type=int, default=20, help='pairs of each data set')
    parser.add_argument('--methods', help='names, separated by commas; all of them by default')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    parser.add_argument('--data', type=Path, default=Path(default), help='folder of the data sets')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves the default, one for each core')
    parser.add_argument('--repeats', type=int, default=100, help='timed pairs of each method')
    args = parser.parse_args()
    if args.pairs < 1 or args.repeats < 1:
        parser.error('--pairs and --repeats must be at least 1')
    methods = args.methods.split(',') if args.methods else registry.names()
    sets = {name: load_pairs(args.data / name, args.pairs) for name in DATASETS
            if (args.data / name / 'rgb').is_dir() and (args.data / name / 'thermal').is_dir()}
    sets = {name: pairs for name, pairs in sets.items() if pairs}
    if not sets:
        print(f'no pairs under {args.data}, expected {" or ".join(DATASETS)} with rgb/ and '
              'thermal/; set --data or IVIF_DATA', file=sys.stderr)
        return 1
    try:
        engines = {name: FusionEngine(FusionParameters(
            method=name, device=args.device, threads=args.threads)) for name in methods}
    except IvifError as error:
        print(error, file=sys.stderr)
        return 1
    times = milliseconds(engines, next(iter(sets.values()))[0], args.repeats)
    rows: list[dict[str, Any]] = [
        {'method': method, 'dataset': dataset, 'parameters': parameters_of(method),
         'ms': times[method], **quality(engine, pairs)}
        for dataset, pairs in sets.items() for method, engine in engines.items()]

    engine = next(iter(engines.values()))
    where = engine.device_reason
    if engine.device.type == 'cpu':
        where += f', {torch.get_num_threads()} threads'
    counts = ', '.join(f'{len(pairs)} unseen of {name}' for name, pairs in sets.items())
    table = Table(title=f'{counts}; {where}')
    for name in ('dataset', 'method', 'weights', 'ms', *DECIMALS):
        table.add_column(name, justify='left' if name in ('dataset', 'method') else 'right',
                         no_wrap=True)
    for row in rows:
        weights = '' if row['parameters'] is None else f'{row["parameters"]:,}'
        table.add_row(row['dataset'], row['method'], weights, f'{row["ms"]:.2f}',
                      *(f'{row[name]:.{digits}f}' for name, digits in DECIMALS.items()))
    console = Console()
    console.width = max(console.width, 150)
    console.print(table)
    if args.json:
        result = {'default': FusionParameters().method, 'device': where, 'pairs': args.pairs,
                  'rows': rows}
        args.json.write_text(json.dumps(result, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
