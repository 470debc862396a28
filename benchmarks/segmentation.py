# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well pixels are told apart in RGB, thermal and fused images of simulated streets.

`python benchmarks/segmentation.py [--json FILE] [--fusion NAME=FILE] [--streets N] [--steps N]`.
The same small network is trained anew for each input, with the same fresh weights, crops, steps and
degradations, and then measured on streets that it has not seen: mIoU over person, bicycle, car and
background, as rendered and with each camera degraded or lost.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detection_inputs import CONDITIONS, Inputs, degraded, named, without_nan
from rich.console import Console
from rich.table import Table

from ivif_ros.errors import IvifError
from ivif_ros.metrics.segmentation import SegmentationEvaluator
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.data.labelled_streets import LabelledStreets
from ivif_ros.training.data.segmented import SegmentedPair, segmented_instant
from ivif_ros.training.labelled_batch import BACKGROUND, Targets
from ivif_ros.training.tasks.segmentation import Segmenter
from ivif_ros.types import Array

CROP = 192
BATCH = 4
RATE = 3e-3
LABELS = (*CLASSES, 'background')


def tensor(image: Array | None, size: tuple[int, int]) -> torch.Tensor:
    """An input as (3, H, W) float32 RGB in 0..1; black where its camera is lost."""
    if image is None:
        return torch.zeros(3, *size)
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1).float() / 255


def batches(streets: LabelledStreets[SegmentedPair], inputs: Inputs,
            name: str) -> Iterator[tuple[torch.Tensor, Targets]]:
    """Crops of one input; half of them as rendered, the others degraded, the same for each input.

    Objects are few: most crops have one in their middle.
    """
    rng = np.random.default_rng(0)
    while True:
        images, maps = [], []
        for _ in range(BATCH):
            pair = streets[int(rng.integers(len(streets)))]
            condition = CONDITIONS[0 if rng.random() < 0.5 else int(rng.integers(len(CONDITIONS)))]
            high, wide = pair.thermal.shape
            middle = rng.uniform(0, (wide, high))
            if len(pair.boxes) and rng.random() < 0.8:
                box = pair.boxes[int(rng.integers(len(pair.boxes)))]
                middle = (box[:2] + box[2:]) / 2 + rng.normal(0, CROP / 8, 2)
            left, top = (int(np.clip(value - CROP / 2, 0, length - CROP))
                         for value, length in zip(middle, (wide, high), strict=True))
            part = slice(top, top + CROP), slice(left, left + CROP)
            visible, thermal = degraded(condition, np.ascontiguousarray(pair.visible[part]),
                                        np.ascontiguousarray(pair.thermal[part]),
                                        int(rng.integers(2 ** 31)))
            images.append(tensor(inputs.make(name, visible, thermal), (CROP, CROP)))
            maps.append(torch.from_numpy(np.ascontiguousarray(pair.class_map[part])))
        yield torch.stack(images), Targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64),
                                           torch.zeros(0, dtype=torch.int64), torch.stack(maps))


def trained(streets: LabelledStreets[SegmentedPair], inputs: Inputs, name: str,
            steps: int) -> Segmenter:
    """Train a network on one input."""
    torch.manual_seed(0)
    network = Segmenter().train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _, (images, targets) in zip(range(steps), batches(streets, inputs, name), strict=False):
        optimizer.zero_grad()
        network.loss(images, targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def measured(network: Segmenter, streets: LabelledStreets[SegmentedPair], inputs: Inputs, name: str,
             condition: str) -> dict[str, Any]:
    """Figures of one network under one condition."""
    evaluator = SegmentationEvaluator(LABELS)
    for index in range(len(streets)):
        pair = streets[index]
        image = inputs.make(name, *degraded(condition, pair.visible, pair.thermal, index))
        scores = network.scores(tensor(image, pair.thermal.shape)[None])
        truth = np.where(pair.class_map == BACKGROUND, len(CLASSES), pair.class_map)
        evaluator.add(scores[0].argmax(0).numpy(), truth)
    return dict(evaluator.figures())


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add = parser.add_argument
    add('--json', type=Path, help='also write the rows to this file')
    add('--fusion', action='append', default=[], metavar='NAME=FILE',
        help='weights of a fusion network, as one more input')
    add('--streets', type=int, default=12, help='streets that are trained on, and half as many '
        'that are measured; each takes some seconds')
    add('--steps', type=int, default=600, help=f'steps of {BATCH} crops for each input')
    args = parser.parse_args(arguments)
    if args.streets < 1 or args.steps < 1:
        parser.error('--streets and --steps must be at least 1')
    console = Console()
    console.width = max(console.width, 150)
    try:
        inputs = Inputs(named(args.fusion))
        seen = LabelledStreets(args.streets, 'train', segmented_instant)
        unseen = LabelledStreets(-(-args.streets // 2), 'test', segmented_instant)
    except IvifError as error:
        print(error, file=sys.stderr)
        return 1
    rows = []
    for name in inputs.names:
        network = trained(seen, inputs, name, args.steps)
        rows += [{'input': name, 'condition': condition,
                  **measured(network, unseen, inputs, name, condition)}
                 for condition in CONDITIONS]
    table = Table('input', *CONDITIONS, *(f'{name} IoU' for name in LABELS),
                  title=f'mIoU on {len(unseen)} pairs of {-(-args.streets // 2)} unseen streets')
    for name in inputs.names:
        mine = {row['condition']: row for row in rows if row['input'] == name}
        plain = mine[CONDITIONS[0]]['per_class']
        table.add_row(name, *(f'{mine[condition]["mIoU"]:.3f}' for condition in CONDITIONS),
                      *(f'{plain[label]["IoU"]:.3f}' for label in LABELS))
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps(without_nan({
            'steps': args.steps, 'streets': args.streets, 'rows': rows}), indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
