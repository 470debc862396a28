# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection of recordings: track ids go on from pair to pair, and not into the next recording."""

import numpy as np
import pytest

pytest.importorskip('ultralytics')
pytest.importorskip('lap')

from ivif_ros import pipeline as module
from ivif_ros.parameters import Parameters, replace
from ivif_ros.types import Detections, Frame, FramePair


class Walker:
    """A detector that finds somebody who walks to the right."""

    names = {0: 'person'}

    def __init__(self):
        self.x = 0

    def detect(self, bgr):
        self.x += 2
        return Detections([[self.x, 8, self.x + 20, 40]], [0.9], [0], self.names)

    def set_parameters(self, params):
        pass

    def close(self):
        pass


def test_ids_go_on_from_pair_to_pair_until_a_recording_starts_again(monkeypatch):
    monkeypatch.setattr(module, 'load_detector', lambda params, device: Walker())
    pipeline = module.Pipeline(replace(Parameters(), {'detection.track': 'bytetrack'}))
    pipeline.load_detector()
    rgb = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)

    def ids(index):
        pair = FramePair(Frame(10**18 + index * 10**8, 'rgb', rgb), None)
        return pipeline.process(pair, detect=True).detections.track_ids.tolist()
    assert [ids(index) for index in range(4)] == [[1]] * 4
    pipeline.reset()
    assert [ids(index) for index in range(4, 7)] == [[2]] * 3
    pipeline.close()
