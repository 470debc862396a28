# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Time of the image codec per encoding: `python benchmarks/codec.py [--size 640x480] [--json]`."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from ivif_ros.memory import keep_freed_memory
from ivif_ros.ros.compressed_codec import compress
from ivif_ros.ros.encodings import ENCODINGS
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.image_encoder import as_array, encode_image

PAIR = 'pair: bgr8 and 16UC1 in, bgr8 out'


def measure(call: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median and least time of a call in milliseconds."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3)
    return {'median_ms': statistics.median(times), 'min_ms': min(times)}


def as_message(image: np.ndarray, encoding: str) -> SimpleNamespace:
    """A message as rclpy holds it."""
    fields = vars(encode_image(image, encoding))
    return SimpleNamespace(**{**fields, 'data': as_array(fields['data'])}, is_bigendian=0)


def run(width: int, height: int, repeats: int) -> dict[str, dict[str, float]]:
    """Measure every encoding both ways; the keys say what."""
    noise = np.random.default_rng(0)
    colour = cv2.GaussianBlur(noise.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
    grey = colour[..., 1].copy()
    counts = grey.astype(np.uint16) * 16 + 3000
    pictures = {'8UC1': grey, '16UC1': counts, '32FC1': counts.astype(np.float32)}
    results = {}
    for name, encoding in ENCODINGS.items():
        picture, sensor = pictures.get(name, colour), encoding.sensors[0]
        message = as_message(picture, name)
        results[f'decode {name}'] = measure(lambda m=message, s=sensor: decode_image(m, s), repeats)
        results[f'encode {name}'] = measure(
            lambda p=picture, n=name: as_array(encode_image(p, n).data), repeats)
    for kind, picture in (('jpeg', colour), ('webp', colour), ('png', counts)):
        form, data = compress(picture, kind)
        message = SimpleNamespace(format=form, data=data)
        sensor = 'rgb' if picture is colour else 'thermal'
        few = max(repeats // 10, 3)
        results[f'decode {kind}'] = measure(lambda m=message, s=sensor: decode_image(m, s), few)
        results[f'encode {kind}'] = measure(lambda p=picture, k=kind: compress(p, k), few)
    rgb, thermal = as_message(colour, 'bgr8'), as_message(counts, '16UC1')
    results[PAIR] = measure(
        lambda: (decode_image(rgb, 'rgb'), decode_image(thermal, 'thermal'),
                 as_array(encode_image(colour, 'bgr8').data)), repeats)
    return results


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', default='640x480', help='width x height in pixels')
    parser.add_argument('--repeats', type=int, default=200)
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    options = parser.parse_args()
    width, height = map(int, options.size.split('x'))
    keep_freed_memory()     # as the nodes do
    results = run(width, height, options.repeats)
    if options.json:
        print(json.dumps({'width': width, 'height': height, 'results': results}, indent=1))
        return
    table = Table('encoding', 'decode (ms)', 'encode (ms)', title=f'Codec, {options.size}, medians')
    for name in [key[7:] for key in results if key.startswith('decode ')]:
        table.add_row(name, *(f"{results[f'{way} {name}']['median_ms']:.3f}"
                              for way in ('decode', 'encode')))
    Console().print(table)
    Console().print(f"{PAIR}: {results[PAIR]['median_ms']:.3f} ms")


if __name__ == '__main__':
    main()
