# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Error of the estimated time offset: `python benchmarks/offset.py [--data DIR] [--json FILE]`.

Simulated rigs (10 cm between the cameras, other fields of view, no calibration) and, with --data,
the videos of M3SVD, whose true offset is known to half a frame only. Each is rendered or read once;
its thermal stamps are then shifted by each lag.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.sync import OffsetEstimator
from ivif_ros.types import Array, Sensor

LAGS_MS = (-250, -80, 0, 40, 80, 250)
AFTER_S = (5, 10, 20)
SLACK_S = 1.2
"""An estimate counts as one after T seconds when it came up to this much later."""

Event = tuple[int, Sensor, Array]

SCENES: dict[str, dict[str, Any]] = {
    'drive, night': {'seed': 0, 'lighting': 'night'},
    'drive, day': {'seed': 1, 'lighting': 'day'},
    'drive, dusk, thermal 9 Hz': {'seed': 2, 'lighting': 'dusk', 'thermal_hz': 9.0},
    'drive, shutter every 8 s': {'seed': 5, 'freeze_every_s': 8.0},
    'standing, night': {'seed': 3, 'ego_speed_mps': 0.0},
    'standing, day': {'seed': 4, 'lighting': 'day', 'ego_speed_mps': 0.0},
    'standing, thermal 9 Hz': {'seed': 3, 'ego_speed_mps': 0.0, 'thermal_hz': 9.0},
}


def simulated(options: dict[str, Any], seconds: float, size: tuple[int, int]) -> list[Event]:
    """Frames of a simulated rig whose clocks agree."""
    config = RigConfig(**{
        'rgb_size': size, 'thermal_size': (size[0] // 2, size[1] // 2), 'thermal_phase_s': 0.011,
        'thermal_lag_s': 0.0, 'freeze_every_s': 0.0, **options})
    return [(frame.stamp_ns, sensor, frame.image)
            for sensor, frame in SimulatedRig(config).frames(seconds)]


def videos(folder: Path) -> dict[str, list[Event]]:
    """Frames of each pair of videos; frame i of both has the same stamp."""
    found = {}
    for path in sorted((folder / 'rgb').glob('*.mp4')):
        events: list[Event] = []
        sensors: tuple[Sensor, ...] = ('rgb', 'thermal')
        for sensor in sensors:
            capture = cv2.VideoCapture(str(folder / sensor / path.name))
            hz, index = capture.get(cv2.CAP_PROP_FPS), 0
            while True:
                read, image = capture.read()
                if not read:
                    break
                stamp_ns = 10**18 + round(index / hz * 1e9)
                events.append((
                    stamp_ns, sensor,
                    np.ascontiguousarray(image if sensor == 'rgb' else image[..., 0])))
                index += 1
            capture.release()
        found[f'video {path.stem}'] = events
    return found


def measure(events: list[Event], lag_ms: float) -> tuple[dict[str, Any], list[float]]:
    """Error and standard deviation after some times, and milliseconds per frame."""
    ordered = sorted(events, key=lambda event: event[:2])
    first, estimator = ordered[0][0], OffsetEstimator()
    took, result = [], {}
    for stamp_ns, sensor, image in ordered:
        shift_ns = round(lag_ms * 1e6) if sensor == 'thermal' else 0
        start = time.perf_counter()
        done = estimator.add(sensor, stamp_ns + shift_ns, image)
        took.append((time.perf_counter() - start) * 1e3)
        if not done:
            continue
        now, estimate = (stamp_ns - first) / 1e9, estimator.estimate
        for after in AFTER_S:
            if after <= now < after + SLACK_S and str(after) not in result and (
                    estimate.known or now > after + SLACK_S - 1):
                result[str(after)] = {
                    'error_ms': None if not estimate.known else estimate.offset_ms + lag_ms,
                    'std_ms': None if not estimate.known else estimate.std_ms,
                    'reason': estimate.reason}
    return result, took


def main() -> None:
    """Measure all scenes and print or write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, metavar='DIR', help='folder with m3svd/')
    parser.add_argument('--seconds', type=float, default=22.0, help='length of the simulations')
    parser.add_argument('--size', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'),
                        help='of the RGB image; the thermal image has half of it')
    parser.add_argument('--json', metavar='FILE', help='also write the figures to this file')
    arguments = parser.parse_args()
    real = videos(arguments.data / 'm3svd') if arguments.data is not None else {}
    report: dict[str, Any] = {}
    print(f'{"":28s} error in ms (standard deviation) after 5, 10, 20 s; - for no estimate')
    for name in (*SCENES, *real):
        events = real.get(name) or simulated(
            SCENES[name], arguments.seconds, tuple(arguments.size))
        per_frame: list[float] = []
        report[name] = {'lags': {}}
        for lag_ms in LAGS_MS:
            found, took = measure(events, lag_ms)
            report[name]['lags'][str(lag_ms)] = found
            per_frame += took
            cells = [found.get(str(after), {}) for after in AFTER_S]
            print(f'{name:28s} lag {lag_ms:5d} ' + ' '.join(
                '           -' if cell.get('error_ms') is None else
                f'{cell["error_ms"]:+6.1f} ({cell["std_ms"]:3.0f})' for cell in cells), flush=True)
        for after in AFTER_S:
            errors = [abs(lag[str(after)]['error_ms']) for lag in report[name]['lags'].values()
                      if lag.get(str(after), {}).get('error_ms') is not None]
            report[name][f'largest_error_ms_after_{after}_s'] = max(errors, default=math.nan)
        report[name]['ms_per_frame'] = {
            'mean': float(np.mean(per_frame)), 'median': float(np.median(per_frame)),
            'p99': float(np.percentile(per_frame, 99))}
        cost = report[name]['ms_per_frame']
        print(f'{"":28s} per frame: median {cost["median"]:.2f} ms, mean {cost["mean"]:.2f} ms, '
              f'99 % {cost["p99"]:.2f} ms')
    if arguments.json:
        with open(arguments.json, 'w', encoding='utf-8') as file:
            json.dump(report, file, indent=1)


if __name__ == '__main__':
    main()
