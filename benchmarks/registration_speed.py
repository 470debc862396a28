# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How long registration takes at 640x480: estimates, and what each frame of a stream costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from registration_data import Case
from registration_methods import ESTIMATOR, METHODS

from ivif_ros.memory import keep_freed_memory
from ivif_ros.parameters import RegistrationParameters
from ivif_ros.registration import DeformationTracker, Warper
from ivif_ros.types import Array

REPEATS = 50
_WARM_UP = 5
_FRAME_NS = 33_333_333


def measure_speed(case: Case, threads: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    """Median times on one pair.

    Args:
        case: a pair of 640x480.
        threads: numbers of CPU threads of PyTorch and OpenCV to measure with.

    Returns:
        One row per number of threads and thing that is timed: `threads`, `what`, `median` and `p90`
        in milliseconds.
    """
    keep_freed_memory()
    before = torch.get_num_threads(), cv2.getNumThreads()
    rows = []
    try:
        for count in threads:
            torch.set_num_threads(count)
            cv2.setNumThreads(count)
            times = _in_turns({name: lambda method=method: method(case)
                               for name, method in METHODS.items() if name != 'nothing'})
            times |= _warp(case) | _stream(case)
            rows += [{'threads': count, 'what': what, 'median': float(np.median(values)),
                      'p90': float(np.percentile(values, 90))} for what, values in times.items()]
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    return rows


def print_speed(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    print(f'\nmilliseconds at 640x480, of {REPEATS}\n{"threads":>8}  {"what":26}'
          f'{"median":>8}{"90 %":>8}')
    for row in rows:
        print(f'{row["threads"]:8d}  {row["what"]:26}{row["median"]:8.2f}{row["p90"]:8.2f}')


def _in_turns(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time calls in turns, so that whatever slows the machine down meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(_WARM_UP + REPEATS):
        for name, call in calls.items():
            spent = _milliseconds(call)
            if turn >= _WARM_UP:
                times[name].append(spent)
    return times


def _warp(case: Case) -> dict[str, list[float]]:
    """One warp by a map that is known already, and by one that is new."""
    thermal = torch.from_numpy(case.thermal)
    deformation = METHODS['ours'](case).deformation
    known = Warper()
    return _in_turns({
        'warp, known map': lambda: known.warp(thermal, deformation),
        'warp, new map': lambda: Warper().warp(thermal, deformation)})


def _stream(case: Case) -> dict[str, list[float]]:
    """What each frame of a live stream waits for: tracker and warp, estimates beside it."""
    times: dict[str, list[float]] = {'frame: tracker and warp': []}
    warper = Warper()
    frames = _moving(case)
    with ThreadPoolExecutor(1) as background:
        tracker = DeformationTracker(
            RegistrationParameters(), executor=background, estimator=ESTIMATOR)
        start = time.perf_counter()
        for index in range(_WARM_UP + 3 * REPEATS):
            # Frames come at their rate, so that estimates run beside as many as they do on a robot.
            time.sleep(max(start + index * _FRAME_NS / 1e9 - time.perf_counter(), 0.0))
            rgb, thermal = frames[index % len(frames)]
            spent = _milliseconds(lambda index=index, rgb=rgb, thermal=thermal: warper.warp(
                torch.from_numpy(thermal), tracker.update(index * _FRAME_NS, rgb, thermal)))
            if index >= _WARM_UP:
                times['frame: tracker and warp'].append(spent)
    return times


def _moving(case: Case) -> list[tuple[Array, Array]]:
    """The pair as a camera sees it that swings to and fro by some pixels."""
    shifts = [*range(10), *range(10, 0, -1)]
    return [(np.roll(case.rgb, shift, axis=1), np.roll(case.thermal, shift, axis=1))
            for shift in shifts]


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3
