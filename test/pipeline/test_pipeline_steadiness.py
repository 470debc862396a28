# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which pairs follow each other: stamps, resets, parameters."""

import numpy as np
import pytest

from ivif_ros.parameters import Parameters, RegistrationParameters, replace
from ivif_ros.pipeline import Pipeline
from ivif_ros.types import Frame, FramePair

MS = 1_000_000
SIZE = 96, 128
# Everything else that remembers is off, so that a pair that follows none gives always the same.
ALONE = {'registration.mode': 'none', 'thermal.normalisation': 'fixed', 'thermal.range_min': 0.0,
         'thermal.range_max': 255.0}


class Stream:
    """A still, noisy scene, fused by a pipeline and, pair by pair, without steadiness."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self._rng = rng
        self._rgb = np.kron(rng.integers(40, 200, (12, 16, 3)), np.ones((8, 8, 1)))
        self._thermal = np.kron(rng.integers(40, 200, (12, 16)), np.ones((8, 8)))
        self.pipeline = Pipeline(replace(Parameters(), ALONE))
        self._single = Pipeline(replace(Parameters(), {**ALONE, 'fusion.steadiness': 0.0}))

    def pair(self, stamp_ms):
        images = [(image + self._rng.normal(0, 3, image.shape)).round().astype(np.uint8)
                  for image in (self._rgb, self._thermal)]
        return FramePair(*(Frame(round(stamp_ms * MS), name, image)
                           for name, image in zip(('rgb', 'thermal'), images, strict=True)))

    def follows(self, stamp_ms):
        """Fuse one pair; say whether those before had a part in it."""
        pair = self.pair(stamp_ms)
        return bool((self.pipeline.process(pair).fused != self._single.process(pair).fused).any())

    def close(self):
        self.pipeline.close()
        self._single.close()


@pytest.fixture
def stream():
    stream = Stream()
    yield stream
    stream.close()


def test_pairs_of_a_stream_follow_each_other(stream):
    assert [stream.follows(1000 + 33 * i) for i in range(4)] == [False, True, True, True]


def test_a_gap_starts_afresh(stream):
    assert [stream.follows(ms) for ms in (1000, 1499, 1999, 2032)] == [False, True, False, True]


def test_a_jump_back_starts_afresh(stream):
    assert [stream.follows(ms) for ms in (1000, 1033, 200, 233, 233)] == [
        False, True, False, True, False]


def test_reset_starts_afresh(stream):
    stream.follows(1000)
    stream.pipeline.reset()
    assert [stream.follows(ms) for ms in (1033, 1066)] == [False, True]


def test_one_camera_for_a_moment_does_not_matter(stream):
    stream.follows(1000)
    alone = stream.pair(1033)
    result = stream.pipeline.process(FramePair(alone.rgb, None))
    np.testing.assert_array_equal(result.fused, alone.rgb.image)
    assert stream.follows(1066)


def test_the_parameter_takes_effect_while_it_runs(stream):
    stream.follows(1000)
    params = stream.pipeline.params
    stream.pipeline.set_parameters(replace(params, {'fusion.steadiness': 0.0}))
    assert not stream.follows(1033)
    stream.pipeline.set_parameters(params)
    assert [stream.follows(ms) for ms in (1066, 1099)] == [False, True]


def test_stills_follow_nothing(stream):
    stream.follows(1000)
    pair = stream.pair(1033)
    first = stream.pipeline.process_still(pair.rgb, pair.thermal).fused
    stream.follows(1066)
    np.testing.assert_array_equal(
        stream.pipeline.process_still(pair.rgb, pair.thermal).fused, first)


def test_live_and_offline_are_the_same(stream):
    pairs = [stream.pair(1000 + 33 * i) for i in range(6)]

    def run(live):
        # When an estimate is made in time depends on the machine.
        aligned = RegistrationParameters(mode='none')
        pipeline = Pipeline(Parameters(registration=aligned), live=live)
        try:
            if live:
                pipeline.warm_up((SIZE[1], SIZE[0]))
            return [pipeline.process(pair).fused for pair in pairs]
        finally:
            pipeline.close()

    for one, other in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(one, other)
