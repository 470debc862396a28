# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Estimates beside the pairs of a recording: waited for, and the same as in place."""

import threading

import cv2
import numpy as np
import pytest

from ivif_ros.parameters import Parameters
from ivif_ros.parameters.spec import replace
from ivif_ros.pipeline import Pipeline
from ivif_ros.registration.awaited import AwaitedExecutor
from ivif_ros.types import Frame, FramePair


def test_a_call_runs_beside_and_is_waited_for_when_somebody_asks():
    executor = AwaitedExecutor('test')
    may_end = threading.Event()
    started = threading.Event()

    def call(value):
        started.set()
        assert may_end.wait(60)
        return value + 1

    future = executor.submit(call, 1)
    assert started.wait(60)  # while nobody waits
    may_end.set()
    assert future.done()
    assert future.result() == 2
    failed = executor.submit(lambda: 1 / 0)
    assert failed.done()
    with pytest.raises(ZeroDivisionError):
        failed.result()
    executor.shutdown()


def test_images_are_those_of_estimates_in_place(shared_data):
    folder = shared_data / 'm3svd_stills'
    path = sorted((folder / 'rgb').iterdir())[0]
    rgb = cv2.resize(cv2.imread(str(path)), (320, 240), interpolation=cv2.INTER_AREA)
    thermal = cv2.resize(cv2.imread(str(folder / 'thermal' / path.name), cv2.IMREAD_GRAYSCALE),
                         (320, 240), interpolation=cv2.INTER_AREA)
    params = replace(Parameters(), {'fusion.method': 'average', 'registration.period_ms': 300.0,
                                    'registration.apply_after_ms': 200.0})
    found = []
    for beside in (False, True):
        pipeline = Pipeline(params, beside=beside)
        results = []
        for index in range(9):
            stamp_ns = 10 ** 9 + index * 100_000_000
            results.append(pipeline.process(FramePair(
                Frame(stamp_ns, 'rgb', np.roll(rgb, index, axis=1)),
                Frame(stamp_ns, 'thermal', np.roll(thermal, index + 5, axis=1)))))
        counts = pipeline.counters.snapshot()
        pipeline.close()
        assert counts.get('registration.late', 0) == 0
        assert sum(counts.get(f'registration.{kind}', 0)
                   for kind in ('accepted', 'rejected', 'outlier')) == 3
        found.append(results)
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one.deformation.homography, other.deformation.homography)
        assert np.array_equal(one.fused, other.fused)
