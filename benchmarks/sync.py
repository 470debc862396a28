# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Time that PairMatcher takes per message: `python benchmarks/sync.py [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator

import numpy as np

from ivif_ros.counters import Counters
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync import PairMatcher
from ivif_ros.types import Frame, Sensor

IMAGE = np.zeros((1, 1), np.uint8)


def stream(sensor: Sensor, rate_hz: float, delay_ms: float, jitter_ms: float,
           seconds: float) -> Iterator[tuple[int, Sensor, Frame]]:
    """Frames of one camera with regular stamps that arrive late by delay and jitter."""
    generator = np.random.default_rng(len(sensor))
    arrival = 0
    for index in range(int(seconds * rate_hz)):
        stamp = 10**18 + round(index / rate_hz * 1e9)
        late = (delay_ms + generator.uniform(0, jitter_ms)) * 1e6
        arrival = max(arrival + 1, stamp + round(late))
        yield arrival, sensor, Frame(stamp, sensor, IMAGE, received_ns=arrival)


CASES: dict[str, tuple[float, float, float, SyncParameters]] = {
    # name: thermal rate (Hz), thermal delay (ms), jitter of both (ms), parameters
    '30 Hz and 30 Hz': (30.0, 5.0, 2.0, SyncParameters()),
    '30 Hz and 9 Hz, hold': (9.0, 5.0, 2.0, SyncParameters()),
    '30 Hz and 60 Hz, delayed': (60.0, 25.0, 2.0, SyncParameters()),
    '30 Hz and 30 Hz, 100 ms jitter': (30.0, 5.0, 100.0, SyncParameters(max_wait_ms=150.0)),
    '30 Hz and 300 Hz': (300.0, 5.0, 2.0, SyncParameters(queue_size=30)),
    '30 Hz and 30 Hz, 300 ms late': (
        30.0, 300.0, 2.0, SyncParameters(max_wait_ms=400.0, queue_size=30)),
}


def measure(case: tuple[float, float, float, SyncParameters], seconds: float) -> dict[str, float]:
    """Run one case and return microseconds per message and the number of pairs."""
    rate, delay, jitter, params = case
    frames = sorted(
        [*stream('rgb', 30.0, 3.0, jitter, seconds),
         *stream('thermal', rate, delay, jitter, seconds)], key=lambda item: item[0])
    matcher = PairMatcher(params, Counters())
    times, pairs = [], 0
    for arrival, sensor, frame in frames:
        start = time.perf_counter()
        ready = matcher.poll(arrival) + matcher.add(sensor, frame)
        matcher.next_deadline_ns()
        times.append((time.perf_counter() - start) * 1e6)
        pairs += len(ready)
    return {
        'median_us': round(statistics.median(times), 2),
        'p99_us': round(float(np.percentile(times, 99)), 2), 'messages': len(times), 'pairs': pairs}


def main() -> None:
    """Measure all cases and print or write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=30.0, help='length of the streams')
    parser.add_argument('--json', metavar='FILE', help='also write the figures to this file')
    arguments = parser.parse_args()
    results = {name: measure(case, arguments.seconds) for name, case in CASES.items()}
    for name, result in results.items():
        print(f'{name:32s} median {result["median_us"]:6.2f} us   p99 {result["p99_us"]:6.2f} us   '
              f'{result["pairs"]} pairs of {result["messages"]} messages')
    if arguments.json:
        with open(arguments.json, 'w', encoding='utf-8') as file:
            json.dump(results, file, indent=1)


if __name__ == '__main__':
    main()
