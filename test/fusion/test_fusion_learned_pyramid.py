# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The default method: its arithmetic, its fast form for a CPU, and what its weights do."""

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.fusion import resample
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.networks import binomial, build
from ivif_ros.fusion.weights import load_network, shipped_names
from ivif_ros.metrics.fusion import evaluate

CELL = 32
"""Side of the cells of the coarsest grid in pixels."""

LEVEL = 1 / 255


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network():
    """A network whose heads say something, which those of a fresh one do not."""
    torch.manual_seed(3)
    network = build('learned_pyramid').eval()
    with torch.no_grad():
        for head in (network.base, *network.gain):
            head.weight.normal_(std=0.5)
            head.bias.normal_(std=0.3)
    return network


@pytest.fixture
def fresh():
    torch.manual_seed(0)
    return build('learned_pyramid').eval()


# Filters, in plain NumPy


def halved(x):
    """[1 3 3 1] / 8 in both directions, every other pixel, beyond the border the outermost one."""
    for axis in (0, 1):
        x = np.moveaxis(np.pad(x, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], 'edge'),
                        axis, 0)
        x = (x[:-3:2] + 3 * x[1:-2:2] + 3 * x[2:-1:2] + x[3::2]) / 8
        x = np.moveaxis(x, 0, axis)
    return x


def doubled(x):
    """Bilinear: each pixel gives two, each with a quarter of the neighbour on its side."""
    for axis in (0, 1):
        x = np.moveaxis(np.pad(x, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], 'edge'),
                        axis, 0)
        pairs = np.stack(((x[:-2] + 3 * x[1:-1]) / 4, (3 * x[1:-1] + x[2:]) / 4), 1)
        x = np.moveaxis(pairs.reshape(-1, *x.shape[1:]), 0, axis)
    return x


@pytest.mark.parametrize(('name', 'expected'), [('halve', halved), ('double', doubled)])
def test_filters_of_training_and_of_run_time_are_the_same(name, expected):
    planes = random(3, 26, 40)
    wanted = np.stack([expected(plane) for plane in planes.double().numpy()])
    trained = getattr(binomial, name)(planes[None])[0].numpy()
    ran = getattr(resample, name)(planes, Arena(torch.device('cpu'))).numpy()
    np.testing.assert_allclose(trained, wanted, atol=1e-6)
    np.testing.assert_allclose(ran, wanted, atol=1e-6)


def test_smoothing_of_training_and_of_run_time_is_the_same():
    planes = random(3, 21, 40)
    padded = np.pad(planes.numpy(), ((0, 0), (1, 1), (1, 1)), 'edge')
    wanted = sum(padded[:, y:y + 21, x:x + 40] * (2 - abs(y - 1)) * (2 - abs(x - 1)) / 16
                 for y in range(3) for x in range(3))
    np.testing.assert_allclose(binomial.smooth(planes[None])[0].numpy(), wanted, atol=1e-6)
    ran = resample.smooth(planes, Arena(torch.device('cpu'))).numpy()
    np.testing.assert_allclose(ran, wanted, atol=1e-6)


# The network


def test_fresh_weights_give_the_mean_base_with_all_details(fresh):
    visible, thermal = random(2, 64, 96).double().numpy()
    base = (visible + thermal) / 2
    for _ in range(5):
        base = halved(base)
    for _ in range(5):
        base = doubled(base)
    wanted = visible + thermal - base
    with torch.no_grad():
        fused = fresh(*(torch.from_numpy(x).float()[None, None] for x in (visible, thermal)))
    np.testing.assert_allclose(fused[0, 0].numpy(), wanted, atol=1e-5)


def test_images_without_details_stay_as_they_are(fresh):
    plain = torch.full((1, 1, 45, 70), 0.4)
    torch.testing.assert_close(fresh(plain, plain), plain)


@pytest.mark.parametrize('size', [(480, 640), (479, 641), (33, 70), (1, 1)])
def test_deployed_form_computes_the_same(network, size):
    visible, thermal = random(1, 1, *size), random(1, 1, *size, seed=1)
    visible[..., :size[0] // 2] *= 0.1
    kept = visible.clone(), thermal.clone()
    with torch.no_grad():
        wanted = network(visible, thermal)
    deployed = network.deploy()
    for _ in range(2):  # the second time in memory that holds the values of the first
        fused = deployed(visible, thermal, None)
        assert fused.shape == visible.shape
        torch.testing.assert_close(fused, wanted, atol=2e-5, rtol=0)
    assert torch.equal(visible, kept[0])
    assert torch.equal(thermal, kept[1])


def test_deployed_form_computes_the_same_where_a_source_has_no_details(network):
    visible, thermal = random(1, 1, 120, 160), random(1, 1, 120, 160, seed=1)
    visible[..., :80] = 1
    thermal[..., 50:, :] = 0.7
    with torch.no_grad():
        wanted = network(visible, thermal)
    # The correlation with an image that is flat is one of rounding errors.
    torch.testing.assert_close(network.deploy()(visible, thermal, None), wanted,
                               atol=LEVEL / 4, rtol=0)


def test_deployed_form_takes_sizes_in_any_order(network):
    deployed = network.deploy()
    for size in ((64, 96), (200, 131), (64, 96)):
        visible, thermal = random(1, 1, *size), random(1, 1, *size, seed=1)
        with torch.no_grad():
            wanted = network(visible, thermal)
        torch.testing.assert_close(deployed(visible, thermal, None), wanted, atol=2e-5, rtol=0)


def test_gradients_reach_all_parameters(network):
    visible, thermal = random(2, 1, 70, 90), random(2, 1, 70, 90, seed=1)
    visible.requires_grad_()
    (network(visible, thermal) * random(2, 1, 70, 90, seed=2)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert visible.grad.abs().min() >= 0
    assert visible.grad.isfinite().all()


@pytest.mark.parametrize('level', [0.0, 1.0])
def test_gradients_of_black_and_of_saturated_images_are_finite(network, level):
    plain = torch.full((1, 1, 64, 64), level)
    network(plain, plain).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_images_of_a_batch_do_not_meet(network):
    visible, thermal = random(3, 1, 40, 50), random(3, 1, 40, 50, seed=1)
    with torch.no_grad():
        together = network(visible, thermal)
        alone = torch.cat([network(visible[i:i + 1], thermal[i:i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_memory_does_not_grow_from_pair_to_pair(network):
    deployed = network.deploy()
    visible, thermal = random(1, 1, 96, 128), random(1, 1, 96, 128, seed=1)
    addresses = set()
    for index in range(12):
        fused = deployed(visible, thermal, None)
        if index >= 2:
            addresses.add((fused.data_ptr(), deployed._arena.size_bytes))
    assert len(addresses) == 1


# Context


def without_scene(network):
    """Make a network deaf to the statistics of the scene, which differ from tile to tile."""
    cells = network.look[-1].in_channels - network.hear[-1].out_channels
    with torch.no_grad():
        network.stem.weight[:, cells:] = 0
    return network.double()


def change_from_outside(network, context):
    """Largest change of the middle when everything farther away than the context is replaced."""
    margin, middle = 9 * CELL, 2 * CELL
    side = 2 * margin + middle + 4 * CELL
    first = (side - middle) // 2
    inside = torch.zeros(side, side, dtype=torch.bool)
    near = slice(first - context, first + middle + context)
    inside[near, near] = True
    visible, thermal = 0.4 * random(2, 1, 1, side, side, seed=4).double()
    other = random(1, 1, side, side, seed=5).double()
    with torch.no_grad():
        one = network(visible, thermal)
        two = network(torch.where(inside, visible, other), torch.where(inside, thermal, 1 - other))
    part = slice(first, first + middle)
    return float((one - two)[..., part, part].abs().max())


def test_nothing_but_the_scene_comes_from_beyond_nine_cells(network):
    network = without_scene(network)
    assert change_from_outside(network, 9 * CELL) < 1e-12
    assert change_from_outside(network, 2 * CELL) > LEVEL


# What the weights of the package do


@pytest.fixture(scope='module')
def trained():
    if 'learned_pyramid' not in shipped_names():
        pytest.skip('the package has no weights of learned_pyramid')
    return load_network('learned_pyramid')


def fuse(network, visible, thermal):
    """Fuse (H, W) arrays in 0..1."""
    planes = [torch.from_numpy(np.ascontiguousarray(x, np.float32))[None, None]
              for x in (visible, thermal)]
    with torch.no_grad():
        return network(*planes)[0, 0].numpy()


def noise(seed, strength, size=(240, 320)):
    return np.random.default_rng(seed).normal(0, strength, size).astype(np.float32)


def details(image):
    return image - cv2.GaussianBlur(image, (0, 0), 2)


def disc(x, y, radius, size=(240, 320)):
    rows, columns = np.mgrid[:size[0], :size[1]]
    return np.hypot(columns - x, rows - y) <= radius


def texture(seed, strength, size=(240, 320)):
    """Soft random structure of a few pixels."""
    soft = cv2.GaussianBlur(noise(seed, 1, size), (0, 0), 3)
    return soft * (strength / soft.std())


def test_weights_are_few_and_finite(trained):
    parameters = list(trained.parameters())
    assert sum(parameter.numel() for parameter in parameters) <= 100_000
    assert all(parameter.isfinite().all() for parameter in parameters)


def test_less_than_a_grey_level_comes_from_beyond_the_overlap_of_tiles(trained):
    network = without_scene(load_network('learned_pyramid'))
    assert change_from_outside(network, network.OVERLAP) < LEVEL


def test_warm_person_in_the_dark_is_bright(trained):
    person = disc(160, 120, 25)
    visible = np.clip(0.04 + noise(1, 0.006) + texture(2, 0.01), 0, 1)
    thermal = cv2.GaussianBlur(np.where(person, 0.85, 0.2).astype(np.float32), (0, 0), 1)
    fused = fuse(trained, visible, thermal + texture(3, 0.01))
    inner, around = disc(160, 120, 20), disc(160, 120, 60) & ~disc(160, 120, 32)
    assert fused[inner].mean() > 0.65
    assert fused[inner].mean() - fused[around].mean() > 0.45


def test_writing_of_a_sign_that_the_thermal_camera_does_not_see_survives(trained):
    visible = 0.45 + texture(4, 0.03)
    ink = np.zeros(visible.shape, np.uint8)
    cv2.putText(ink, 'STOP', (100, 135), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4, cv2.LINE_AA)
    visible[70:170, 90:230] = 0.25 + 0.6 / 255 * ink[70:170, 90:230]
    thermal = 0.4 + texture(5, 0.03)
    fused = fuse(trained, visible, thermal)
    sign = (slice(75, 165), slice(95, 225))
    kept, there = details(fused)[sign], details(visible)[sign]
    assert np.corrcoef(kept.reshape(-1), there.reshape(-1))[0, 1] > 0.97
    assert 0.85 < kept.std() / there.std() < 1.3


@pytest.mark.parametrize('levels', [(1.5, 1.5), (3.0, 1.0), (0.5, 2.0)])
def test_noise_of_flat_areas_is_not_amplified(trained, levels):
    visible = 0.45 + noise(6, levels[0] * LEVEL)
    thermal = 0.35 + noise(7, levels[1] * LEVEL)
    # Something to see, far away, as in every scene.
    visible[:60] += texture(8, 0.1)[:60]
    thermal[:60] += texture(9, 0.1)[:60]
    fused = fuse(trained, visible, thermal)[100:220]
    gain = details(fused).std() / (max(levels) * LEVEL)
    assert gain < 1.15


def test_glare_shows_what_the_thermal_camera_sees(trained):
    glare = disc(160, 120, 70)
    visible = cv2.GaussianBlur(np.where(glare, 1.3, 0.2).astype(np.float32), (0, 0), 6)
    visible = np.clip(visible + texture(10, 0.02), 0, 1)
    thermal = 0.45 + texture(11, 0.02)
    for left in range(120, 200, 20):
        thermal[90:150, left:left + 10] += 0.3
    fused = fuse(trained, visible, thermal)
    inner = (slice(95, 145), slice(120, 200))
    assert details(visible)[inner].std() < LEVEL
    assert details(fused)[inner].std() > 0.25 * details(thermal)[inner].std()


def test_small_lamps_stay_bright(trained):
    lamp = disc(160, 60, 9)
    visible = 0.12 + texture(12, 0.02)
    visible += 0.95 * cv2.GaussianBlur(lamp.astype(np.float32), (0, 0), 3)
    fused = fuse(trained, np.clip(visible, 0, 1), 0.3 + texture(13, 0.03))
    assert fused[disc(160, 60, 5)].mean() > 0.75


def day():
    """Bright sky that is cold, and warm ground with a dark tree before the sky."""
    visible, thermal = 0.78 + texture(14, 0.01), 0.1 + texture(15, 0.01)
    visible[150:], thermal[150:] = 0.4 + texture(16, 0.05)[150:], 0.5 + texture(17, 0.05)[150:]
    tree = (slice(60, 150), slice(60, 110))
    visible[tree], thermal[tree] = 0.25 + texture(18, 0.05)[tree], 0.45 + texture(19, 0.05)[tree]
    return visible, thermal


def test_sky_stays_bright_and_even_around_a_tree(trained):
    visible, thermal = day()
    fused = fuse(trained, visible, thermal)
    assert fused[10:140, 130:310].mean() > 0.85 * visible[10:140, 130:310].mean()
    beside, far = fused[70:140, 116:130].mean(), fused[70:140, 200:300].mean()
    assert abs(beside - far) < 0.12


def test_hardly_anything_leaves_the_range_of_the_sources(trained):
    visible, thermal = day()
    fused = fuse(trained, visible, thermal)
    window = np.ones((5, 5), np.uint8)
    high = cv2.dilate(np.maximum(visible, thermal), window)
    low = cv2.erode(np.minimum(visible, thermal), window)
    beyond = np.maximum(fused - high, low - fused)
    assert (beyond > 8 * LEVEL).mean() < 0.05
    assert beyond.max() < 48 * LEVEL


@pytest.mark.parametrize(('visible', 'thermal'), [(0, 0), (1, 1), (0, 1), (1, 0), (0.4, 0.4)])
def test_images_of_one_grey_level_give_one_between_them(trained, visible, thermal):
    planes = np.full((70, 90), visible), np.full((70, 90), thermal)
    fused = fuse(trained, *planes)
    assert np.ptp(fused) < LEVEL
    # No scene is like that, so training says little about it: about between them, without a frame.
    assert min(visible, thermal) - 0.15 <= fused.min() <= max(visible, thermal) + 0.15


@pytest.mark.parametrize('level', [0.0, 0.5, 1.0])
def test_a_thermal_camera_that_sees_nothing_leaves_the_image(trained, level):
    visible = day()[0]
    fused = fuse(trained, visible, np.clip(level + noise(20, LEVEL), 0, 1))
    assert np.abs(fused - visible).mean() < 12 * LEVEL
    assert np.corrcoef(fused.reshape(-1), visible.reshape(-1))[0, 1] > 0.98


def test_a_dark_image_shows_the_thermal_one(trained):
    thermal = 0.2 + day()[1]
    fused = fuse(trained, np.clip(noise(21, LEVEL), 0, 1), thermal)
    assert np.corrcoef(fused.reshape(-1), thermal.reshape(-1))[0, 1] > 0.95
    assert fused.std() > 0.5 * thermal.std()


def test_real_pairs_keep_details_of_both_cameras(trained, real_pair):
    rgb, thermal = real_pair
    visible = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    fused = fuse(trained, visible / 255, thermal / 255)
    levels = np.clip(np.rint(fused * 255), 0, 255).astype(np.uint8)
    figures = evaluate(levels, thermal, visible)
    mean = evaluate(np.rint(visible / 2.0 + thermal / 2.0).astype(np.uint8), thermal, visible)
    for name in ('VIF', 'Qabf', 'SF'):
        assert figures[name] > mean[name], name
