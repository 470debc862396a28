# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Small data sets with labels, for the tests of the detector."""

import cv2
import numpy as np

from ivif_ros.detection.yolo_text import write_boxes

SIZE = (160, 96)


def write_dataset(folder, stems, seed=0):
    """Write pairs with two objects each, bright rectangles on noise, and their labels.

    A person is narrow and high, a car is wide. Returns stem -> (boxes, class_ids).
    """
    rng = np.random.default_rng(seed)
    wide, high = SIZE
    truth = {}
    for name in ('rgb', 'thermal', 'labels'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for stem in stems:
        visible = rng.integers(30, 90, (high, wide, 3)).astype(np.uint8)
        thermal = rng.integers(30, 90, (high, wide)).astype(np.uint8)
        boxes = []
        for x, (width, height) in ((8, (16, 40)), (80, (56, 32))):
            left, top = x + int(rng.integers(0, 16)), int(rng.integers(8, 40))
            visible[top:top + height, left:left + width] = (60, 200, 230)
            thermal[top:top + height, left:left + width] = 220
            boxes.append((left, top, left + width, top + height))
        truth[stem] = np.array(boxes, np.float32), np.array([0, 2])
        cv2.imwrite(str(folder / 'rgb' / f'{stem}.png'), visible)
        cv2.imwrite(str(folder / 'thermal' / f'{stem}.png'), thermal)
        write_boxes(folder / 'labels' / f'{stem}.txt', *truth[stem], SIZE)
    return truth
