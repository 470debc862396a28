# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Registry, resampling and coverage against plain NumPy."""

import numpy as np
import pytest
import torch

from ivif_ros.errors import ParameterError
from ivif_ros.fusion import registry, resample
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.coverage import complete


def planes(*shape, device='cpu'):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    return values, torch.from_numpy(values.copy()).to(device)


def by_hand(image, taps, step):
    """Separable filter with repeated border, every `step`-th pixel, one pixel at a time."""
    reach = 1
    padded = np.pad(image.astype(np.float64), reach, mode='edge')
    taps = np.array(taps) / sum(taps)
    kernel = np.outer(taps, taps)
    size = len(taps)
    height, width = image.shape
    return np.array([[(padded[y:y + size, x:x + size] * kernel).sum()
                      for x in range(0, width, step)] for y in range(0, height, step)])


@pytest.mark.parametrize('shape', [(2, 8, 12), (1, 2, 2), (3, 240, 320)])
def test_halve_double_smooth(device, shape):
    arena = Arena(torch.device(device))
    values, tensor = planes(*shape, device=device)
    for _ in range(2):  # from fresh memory, then from the block
        arena.restart()
        half = resample.halve(tensor, arena).cpu().numpy()
        box = resample.halve_box(tensor, arena).cpu().numpy()
        soft = resample.smooth(tensor, arena).cpu().numpy()
        for i, image in enumerate(values[:1]):
            assert np.allclose(half[i], by_hand(image, [1, 3, 3, 1], 2), atol=1e-5)
            assert np.allclose(soft[i], by_hand(image, [1, 2, 1], 1), atol=1e-5)
            blocks = image.reshape(shape[1] // 2, 2, shape[2] // 2, 2).mean((1, 3))
            assert np.allclose(box[i], blocks, atol=1e-5)
        assert (tensor.cpu().numpy() == values).all()


@pytest.mark.parametrize('shape', [(2, 6, 5), (1, 1, 1), (3, 60, 80)])
def test_double_against_weights(device, shape):
    arena = Arena(torch.device(device))
    values, tensor = planes(*shape, device=device)
    doubled = resample.double(tensor, arena).cpu().numpy()
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode='edge').astype(np.float64)
    centre = padded[:, 1:-1, 1:-1]
    up, left, corner = padded[:, :-2, 1:-1], padded[:, 1:-1, :-2], padded[:, :-2, :-2]
    expected = 9 / 16 * centre + 3 / 16 * (up + left) + 1 / 16 * corner
    assert np.allclose(doubled[:, ::2, ::2], expected, atol=1e-5)
    down, right, corner = padded[:, 2:, 1:-1], padded[:, 1:-1, 2:], padded[:, 2:, 2:]
    expected = 9 / 16 * centre + 3 / 16 * (down + right) + 1 / 16 * corner
    assert np.allclose(doubled[:, 1::2, 1::2], expected, atol=1e-5)


def test_pad_to_multiple():
    _, tensor = planes(2, 5, 33)
    padded = resample.pad_to_multiple(tensor, 32)
    assert padded.shape == (2, 32, 64)
    assert (padded[:, :5, :33] == tensor).all()
    assert (padded[:, 20, 50] == tensor[:, -1, -1]).all()
    assert resample.pad_to_multiple(padded, 32) is padded


def test_complete_fills_holes_smoothly(device):
    ramp = np.repeat(np.arange(128, dtype=np.float32)[None] / 128, 96, axis=0)
    weight = np.ones((96, 128), np.float32)
    weight[:, 100:] = 0
    weight[40:50, 30:42] = 0
    arena = Arena(torch.device(device))
    holes = torch.from_numpy(np.where(weight > 0, ramp, 9).astype(np.float32)).to(device)
    full, fade = complete(holes, torch.from_numpy(weight).to(device), arena)
    full, fade = full.cpu().numpy(), fade.cpu().numpy()
    assert (full[weight > 0] == ramp[weight > 0]).all()
    assert np.abs(full - ramp)[40:50, 30:42].max() < 0.1, 'a hole within takes its surroundings'
    assert np.abs(np.diff(full, axis=1)).max() < 0.12, 'and nothing jumps at its border'
    assert (fade[weight == 0] == 0).all()
    assert fade[10, 60] == 1
    assert fade[80, 0] == 1, 'the border of the RGB image is no seam'
    assert np.abs(np.diff(fade[10])).max() < 0.15


def test_complete_without_any_thermal_pixel():
    nothing = torch.zeros(20, 30)
    full, fade = complete(nothing, nothing, Arena(torch.device('cpu')))
    assert torch.isfinite(full).all()
    assert not fade.any()


def test_names_and_unknown_names():
    assert {'average', 'maximum', 'pyramid'} <= set(registry.names())
    assert registry.names() == sorted(registry.names())
    for name in registry.names():
        assert callable(registry.create(name))
    assert registry.create('pyramid') is not registry.create('pyramid')
    with pytest.raises(ParameterError, match=r"average, .*maximum, .*pyramid.*mean 'pyramid'"):
        registry.create('piramid')
    with pytest.raises(ParameterError) as raised:
        registry.create('zzz')
    assert 'did you mean' not in str(raised.value)


def test_methods_of_others(monkeypatch):
    monkeypatch.setattr(registry, '_factories', dict(registry._factories))

    @registry.register('negative')
    class Negative:
        def __call__(self, visible, thermal, weight):
            return 1 - visible

    assert 'negative' in registry.names()
    assert isinstance(registry.create('negative'), Negative)
    with pytest.raises(ValueError, match='registered already'):
        registry.register('negative')(Negative)
