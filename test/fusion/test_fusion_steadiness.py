# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Steadiness: less flicker at rest, nothing left behind in motion, single pairs untouched."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.fusion import FusionEngine, registry
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.steadiness import Steadiness
from ivif_ros.parameters import FusionParameters

METHODS = [name for name in ('average', 'maximum', 'pyramid', 'learned_pyramid')
           if name in registry.names()]
LEVEL = 1 / 255
AMOUNT = FusionParameters().steadiness


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float64)


def noisy(image, sigma, rng):
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


@pytest.fixture
def play(device):
    """Function that fuses a sequence of pairs: as a stream, or each for itself."""

    def call(pairs, method='pyramid', stream=True, **parameters):
        engine = FusionEngine(FusionParameters(method=method, device=device, **parameters))
        fused = []
        for index, images in enumerate(pairs):
            tensors = [torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in images]
            fused.append(
                engine.fuse(*tensors, follows=stream and index > 0).cpu().numpy())
        return fused

    return call


def flicker(images):
    """Mean change of the brightness of blocks of 16 pixels, from one image to the next."""
    height, width = images[0].shape
    changes = []
    for before, after in itertools.pairwise(images):
        for y in range(0, height - 15, 16):
            for x in range(0, width - 15, 16):
                block = slice(y, y + 16), slice(x, x + 16)
                changes.append(abs(after[block].mean() - before[block].mean()))
    return np.mean(changes)


def ratio(fused, pairs):
    inputs = [grey(rgb) for rgb, _ in pairs], [thermal.astype(float) for _, thermal in pairs]
    return flicker([grey(image) for image in fused]) / max(map(flicker, inputs))


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('sigma', [1.5, 10])
def test_a_still_scene_flickers_no_more_than_its_inputs(play, scene, method, sigma):
    rng = np.random.default_rng(1)
    pairs = [(noisy(scene.rgb, sigma, rng), noisy(scene.thermal, sigma, rng)) for _ in range(14)]
    alone = ratio(play(pairs, method, stream=False), pairs)
    steady = ratio(play(pairs, method), pairs)
    assert steady < 0.75
    assert steady < 0.7 * alone  # of which rounding to 8 bits is a part


def test_targets_raised_by_emphasis_are_steady_too(play, scene):
    rng = np.random.default_rng(2)
    pairs = [(noisy(scene.rgb, 2, rng), noisy(scene.thermal, 4, rng)) for _ in range(12)]
    assert ratio(play(pairs, emphasis=1.0), pairs) < 0.6 * ratio(
        play(pairs, stream=False, emphasis=1.0), pairs)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('contrast', [25, 90])
def test_a_moving_target_leaves_no_trail(play, scene, method, contrast):
    rng = np.random.default_rng(3)
    base = cv2.GaussianBlur(scene.thermal, (0, 0), 3).astype(np.int16)
    pairs, places = [], []
    for index in range(20):
        target = np.zeros(base.shape, np.uint8)
        cv2.circle(target, (30 + 5 * index, 120), 6, 1, -1)
        thermal = noisy(base + contrast * target.astype(np.int16), 1, rng)
        pairs.append((noisy(scene.rgb, 1, rng), thermal))
        places.append(target > 0)
    alone, steady = (play(pairs, method, stream=stream) for stream in (False, True))
    for index in range(1, len(pairs)):
        # What the images differ by, without the pixel noise.
        change = cv2.blur(grey(steady[index]) - grey(alone[index]), (5, 5))
        assert np.abs(change[places[index]]).max() < 1, 'the target itself is delayed'
        assert np.abs(change[places[index - 1]]).max() < 2, 'something stays where it was'
        assert np.abs(change[places[max(0, index - 3)]]).max() < 2.5


def test_nothing_lags_while_the_camera_turns(play):
    rng = np.random.default_rng(4)
    # Half of it is texture, the other half so flat that it does not seem to move.
    world = np.full((160, 320), 110.0)
    world[:90] += 200 * cv2.GaussianBlur(rng.normal(0, 1, (90, 320)), (0, 0), 2.0)
    world[90:] += np.linspace(0, 60, 320)
    pairs = []
    for index in range(10):
        view = world[:, 3 * index:3 * index + 256]
        pairs.append((cv2.merge([noisy(view, 0.5, rng)] * 3), noisy(0.6 * view, 0.5, rng)))
    alone, steady = (grey(play(pairs, stream=stream)[-1]) for stream in (False, True))
    assert np.abs(cv2.blur(steady - alone, (4, 4))).max() < 1


@pytest.mark.parametrize('method', METHODS)
def test_a_light_is_seen_at_once(play, scene, method):
    lit = scene.rgb.copy()
    lit[60:150, 100:200] = np.clip(lit[60:150, 100:200].astype(int) + 60, 0, 255)
    pairs = [(scene.rgb, scene.thermal)] * 6 + [(lit, scene.thermal)]
    alone = play(pairs[-1:], method)[0]
    steady = play(pairs, method)[-1]
    inside = slice(64, 146), slice(104, 196)
    assert np.abs(steady[inside].astype(int) - alone[inside]).max() <= 1
    brighter = np.clip(scene.rgb.astype(int) + 12, 0, 255).astype(np.uint8)
    pairs[-1] = brighter, scene.thermal
    assert np.abs(play(pairs, method)[-1].astype(int) - play(pairs[-1:], method)[0]).max() <= 1


@pytest.mark.parametrize('method', METHODS)
def test_it_comes_to_rest_at_the_result_of_the_method(play, scene, method):
    rng = np.random.default_rng(5)
    pairs = [(noisy(scene.rgb, 3, rng), noisy(scene.thermal, 3, rng)) for _ in range(4)]
    pairs += [(scene.rgb, scene.thermal)] * 24
    difference = play(pairs, method)[-1].astype(int) - play(pairs[-1:], method)[0]
    assert np.abs(difference).max() <= 1


def test_slow_light_is_followed(play, scene):
    pairs = [(np.clip(scene.rgb * (0.8 + 0.004 * i), 0, 255).astype(np.uint8), scene.thermal)
             for i in range(40)]
    for method in METHODS:
        steady, alone = (grey(play(pairs, method, stream=stream)[-1]) for stream in (True, False))
        assert np.abs(cv2.blur(steady - alone, (8, 8))).max() < 6


@pytest.mark.parametrize('method', METHODS)
def test_one_pair_alone_is_untouched(play, scene, method):
    pair = scene.rgb, scene.thermal
    other = scene.rgb[::-1], scene.thermal[:, ::-1]
    without = play([pair], method, steadiness=0.0)[0]
    assert (play([pair], method)[0] == without).all()
    assert (play([other, other, pair], method, stream=False)[-1] == without).all()


def test_zero_turns_it_off(play, scene):
    rng = np.random.default_rng(6)
    pairs = [(noisy(scene.rgb, 3, rng), noisy(scene.thermal, 3, rng)) for _ in range(3)]
    for one, other in zip(play(pairs, steadiness=0.0), play(pairs, stream=False), strict=True):
        assert (one == other).all()


def test_new_parameters_and_sizes_start_afresh(device, scene):
    params = FusionParameters(device=device)
    engine = FusionEngine(params)
    rng = np.random.default_rng(7)

    def fuse(rows, follows):
        images = noisy(scene.rgb, 3, rng)[:rows], noisy(scene.thermal, 3, rng)[:rows]
        tensors = [torch.from_numpy(image).to(device) for image in images]
        return (engine.fuse(*tensors, follows=follows),
                FusionEngine(engine._params).fuse(*tensors))

    assert torch.equal(*fuse(240, True))  # nothing came before
    assert not torch.equal(*fuse(240, True))
    assert torch.equal(*fuse(232, True))
    assert not torch.equal(*fuse(232, True))
    assert torch.equal(*fuse(232, False))
    engine.set_parameters(dataclasses.replace(params, emphasis=0.9))
    assert torch.equal(*fuse(232, True))
    assert not torch.equal(*fuse(232, True))
    engine.set_method('maximum')
    assert torch.equal(*fuse(232, True))


@pytest.mark.parametrize('size', [(1, 1), (1, 30), (7, 9), (479, 641)])
def test_any_size(play, size):
    rng = np.random.default_rng(8)
    rgb, thermal = rng.integers(60, 200, (*size, 3)), rng.integers(60, 200, size)
    weight = np.ones(size, np.float32)
    weight[:, size[1] // 2:] = 0
    pairs = [(noisy(rgb, 2, rng), noisy(thermal, 2, rng), weight) for _ in range(4)]
    for (image, _, _), fused in zip(pairs, play(pairs), strict=True):
        assert fused.shape == image.shape
        # Where there is no thermal image, the RGB image stays what it is.
        assert (fused[weight == 0] == image[weight == 0]).all()


def filtered(planes, device, repeat=1):
    """Results of `Steadiness` for (visible, thermal, fused) planes that follow each other."""
    steadiness, arena = Steadiness(AMOUNT, torch.device(device)), Arena(torch.device(device))
    results = []
    for index, images in enumerate(planes):
        arena.restart()
        steadiness.follow(index > 0)
        tensors = [torch.from_numpy(image.astype(np.float32)).to(device) for image in images]
        before = [tensor.clone() for tensor in tensors]
        for _ in range(repeat):
            result = steadiness.apply(*tensors, arena)
        steadiness.advance()
        for own, tensor in zip(before, tensors, strict=True):
            assert torch.allclose(own, tensor, rtol=0, atol=0, equal_nan=True)
        results.append(result.cpu().numpy().copy())
    return results


def test_a_small_step_is_approached_geometrically(device):
    flat = np.full((40, 56), 0.5)
    planes = [(flat, flat, flat)] + [(flat, flat, flat + 3 * LEVEL)] * 6
    for n, result in enumerate(filtered(planes, device)):
        assert result == pytest.approx(0.5 + 3 * LEVEL * (1 - AMOUNT ** n), abs=1e-6)


def test_a_large_step_of_the_method_does_not_linger(device):
    flat = np.full((40, 56), 0.5)
    planes = [(flat, flat, flat), (flat, flat, flat + 15 * LEVEL)]
    assert filtered(planes, device)[1] == pytest.approx(0.5 + 15 * LEVEL, abs=1e-6)


def test_the_surroundings_of_a_target_are_let_go_with_it(device):
    thermal = np.full((120, 160), 0.5)
    target = thermal.copy()
    target[56:64, 56:64] += 12 * LEVEL
    glow = thermal + 3 * LEVEL
    result = filtered([(thermal,) * 3, (thermal, target, glow)], device)[1]
    assert np.abs(result - glow)[50:70, 50:70].max() < 0.5 * LEVEL
    assert result[100:, 100:] == pytest.approx(0.5 + 3 * LEVEL * (1 - AMOUNT), abs=1e-6)


def test_the_finest_details_are_those_of_the_newest_pair(device):
    flat = np.full((40, 56), 0.5)
    checks = flat + 0.02 * (-1.0) ** np.add.outer(np.arange(40), np.arange(56))
    result = filtered([(flat, flat, flat), (flat, flat, checks)], device)[1]
    assert result == pytest.approx(checks, abs=1e-6)


def test_a_method_that_fails_once_does_not_spoil_what_follows(device):
    flat = np.full((40, 56), 0.5)
    for bad in (np.nan, np.inf, -np.inf):
        for first in (True, False):
            planes = [(flat, flat, flat)] * 20
            planes[0 if first else 5] = flat, flat, np.full_like(flat, bad)
            assert filtered(planes, device)[-1] == pytest.approx(flat, abs=1e-3)


def test_a_pair_may_be_computed_again(device):
    """The recording of a CUDA graph runs the same pair several times."""
    rng = np.random.default_rng(9)
    planes = [tuple(0.5 + 0.01 * rng.standard_normal((3, 40, 56))) for _ in range(5)]
    for once, twice in zip(filtered(planes, device), filtered(planes, device, 3), strict=True):
        assert (once == twice).all()


def test_its_memory_stays(device):
    flat = torch.full((48, 64), 0.5, device=device)
    steadiness, arena = Steadiness(AMOUNT, flat.device), Arena(flat.device)
    seen = set()
    for index in range(6):
        arena.restart()
        steadiness.follow(True)
        steadiness.apply(flat, flat, flat, arena)
        steadiness.advance()
        if index > 1:
            planes = steadiness._fused, steadiness._inputs
            seen.add((arena.size_bytes, *(plane.before.data_ptr() for plane in planes),
                      *(plane.after.data_ptr() for plane in planes)))
    assert len(seen) == 1


@pytest.mark.parametrize('name', ['0111_1716', '0117_1605', '1230_1202'])
def test_real_videos_flicker_less_than_their_inputs(play, shared_data, name):
    captures = [cv2.VideoCapture(str(next((shared_data / 'm3svd' / kind).glob(f'{name}.*'))))
                for kind in ('rgb', 'thermal')]
    frames = [[capture.read()[1] for capture in captures] for _ in range(12)]
    pairs = [(rgb, cv2.cvtColor(thermal, cv2.COLOR_BGR2GRAY)) for rgb, thermal in frames]
    inputs = [[grey(rgb) for rgb, _ in pairs], [thermal.astype(float) for _, thermal in pairs]]
    for method in METHODS:
        fused = [grey(image) for image in play(pairs, method)]
        assert _still_flicker(fused, inputs) <= max(_still_flicker(x, inputs) for x in inputs)


def _still_flicker(images, inputs):
    """Flicker of the blocks where both inputs change by less than 3 levels."""
    def blocks(image):
        return image.reshape(30, 16, 40, 16).mean((1, 3))

    changes = []
    for i in range(1, len(images)):
        moved = np.max([np.abs(blocks(x[i]) - blocks(x[i - 1])) for x in inputs], axis=0)
        changes.append(np.abs(blocks(images[i]) - blocks(images[i - 1]))[moved < 3])
    return np.concatenate(changes).mean()
