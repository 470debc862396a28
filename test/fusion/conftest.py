# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Devices and images for the fusion tests."""

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.fusion import FusionEngine
from ivif_ros.parameters import FusionParameters


@pytest.fixture(params=['cpu', 'cuda'])
def device(request):
    """Every device that a fusion must work on."""
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    return request.param


@pytest.fixture
def run(device):
    """Function that fuses NumPy arrays with an engine on the device."""
    engines = {}

    def call(rgb, thermal, weight=None, method='pyramid'):
        if method not in engines:
            engines[method] = FusionEngine(FusionParameters(method=method, device=device))
        tensors = [None if x is None else torch.from_numpy(np.ascontiguousarray(x)).to(device)
                   for x in (rgb, thermal, weight)]
        return engines[method].fuse(*tensors).cpu().numpy()

    return call


class Scene:
    """A street: textured RGB with colours, a thermal image with warm people and a cold sky."""

    def __init__(self, height=240, width=320):
        rng = np.random.default_rng(7)
        small = rng.integers(60, 190, (height // 8, width // 8, 3)).astype(np.uint8)
        rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        rgb += cv2.GaussianBlur(rng.normal(0, 40, (height, width, 1)).astype(np.float32),
                                (0, 0), 1.2)[..., None]
        self.rgb = np.clip(rgb, 0, 255).astype(np.uint8)
        thermal = np.full((height, width), 60, np.float32)
        thermal[:height // 3] = 25
        for x in range(20, width, 60):
            cv2.rectangle(thermal, (x, height // 3), (x + 25, height // 3 + 40), 100, -1)
        self.people = np.zeros((height, width), bool)
        for x in (70, 160, 250):
            cv2.ellipse(thermal, (x, 160), (10, 30), 0, 0, 360, 220, -1)
            person = np.zeros((height, width), np.uint8)
            cv2.ellipse(person, (x, 160), (8, 27), 0, 0, 360, 1, -1)
            self.people |= person > 0
        thermal = cv2.GaussianBlur(thermal, (0, 0), 1.0) + rng.normal(0, 1.5, thermal.shape)
        self.thermal = np.clip(thermal, 0, 255).astype(np.uint8)

    @property
    def luma(self):
        """BT.601 luma of the RGB image."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_BGR2GRAY)


@pytest.fixture(scope='session')
def scene():
    return Scene()


def _real(shared_data, folder, stem):
    paths = [next((shared_data / folder / kind).glob(f'{stem}.*')) for kind in ('rgb', 'thermal')]
    return cv2.imread(str(paths[0])), cv2.imread(str(paths[1]), cv2.IMREAD_GRAYSCALE)


@pytest.fixture(params=['msrs/00036N', 'msrs/00462D', 'roadscene/FLIR_06962'])
def real_pair(request, shared_data):
    """A real registered pair: night, day, another camera."""
    return _real(shared_data, *request.param.split('/'))
