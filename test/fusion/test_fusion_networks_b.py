# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""FusionGAN, UFGAN, MFF-GAN and the mini network: contract, structure, shipped weights."""

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.fusion.networks import build
from ivif_ros.fusion.weights import load_network, shipped_names
from ivif_ros.metrics.fusion import evaluate

NAMES = ('fusiongan', 'ufgan', 'mff_gan', 'mini')
PAIRS = (('msrs', '00291D', '.webp'), ('msrs', '00894N', '.webp'))


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def fresh(name, **config):
    torch.manual_seed(1)
    return build(name, **config).eval()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 1), (41, 51), (48, 64)])
def test_any_size_gives_an_image_of_the_same_size(name, size):
    visible, thermal = random(2, 1, *size), random(2, 1, *size, seed=1)
    kept = visible.clone(), thermal.clone()
    fused = fresh(name)(visible, thermal, torch.ones_like(visible))
    assert fused.shape == visible.shape
    assert fused.dtype == torch.float32
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert torch.equal(visible, kept[0])
    assert torch.equal(thermal, kept[1])


@pytest.mark.parametrize('name', NAMES)
def test_derivatives_reach_every_parameter_and_both_sources(name):
    network = fresh(name).train()
    visible = random(1, 1, 33, 30).requires_grad_()
    thermal = random(1, 1, 33, 30, seed=1).requires_grad_()
    network(visible, thermal).square().sum().backward()
    for what, tensor in (*network.named_parameters(), ('v', visible), ('t', thermal)):
        assert tensor.grad is not None, what
        assert tensor.grad.isfinite().all(), what
        assert tensor.grad.abs().sum() > 0, what


@pytest.mark.parametrize('name', NAMES)
def test_training_mode_differs_by_the_cut_alone(name):
    network = fresh(name)
    # Bright enough for sums beyond 1.
    visible, thermal = random(1, 1, 24, 24) * 2, random(1, 1, 24, 24, seed=1) * 2
    cut = network(visible, thermal)
    whole = network.train()(visible, thermal)
    assert whole.max() > 1
    assert torch.equal(cut, whole.clamp(0, 1))


@pytest.mark.parametrize('name', NAMES)
def test_a_tile_with_its_overlap_has_what_the_image_has(name):
    network = fresh(name)
    overlap, multiple = network.OVERLAP, network.MULTIPLE
    side = 2 * overlap + 4 * multiple
    start = 2 * multiple
    size = side + 32, side + 40
    visible, thermal = random(1, 1, *size), random(1, 1, *size, seed=1)
    whole = network(visible, thermal)[..., start:start + side, start:start + side]
    tile = network(visible[..., start:start + side, start:start + side],
                   thermal[..., start:start + side, start:start + side])
    inside = slice(overlap, side - overlap)
    assert torch.allclose(tile[..., inside, inside], whole[..., inside, inside], atol=1e-6)
    assert not torch.allclose(tile, whole, atol=1e-6)


@pytest.mark.parametrize(('name', 'most'), [
    ('fusiongan', 10_000), ('mff_gan', 10_000), ('ufgan', 50_000), ('mini', 400)])
def test_parameters_are_few(name, most):
    assert sum(p.numel() for p in build(name).parameters()) <= most


def test_mini_has_the_documented_parameters():
    # Local 2*9*w, surroundings 2*9*w + w, mixture w*w + w, output 9*w + 1.
    for width, expected in ((4, 72 + 76 + 20 + 37), (6, 108 + 114 + 42 + 55)):
        assert sum(p.numel() for p in build('mini', width=width).parameters()) == expected


def test_mini_is_two_convolutions_once_it_does_not_look_around():
    network = fresh('mini')
    torch.nn.init.zeros_(network.mix.weight)
    torch.nn.init.zeros_(network.mix.bias)
    visible, thermal = random(1, 1, 21, 26), random(1, 1, 21, 26, seed=1)
    planes = np.pad(np.stack([visible[0, 0], thermal[0, 0]]), ((0, 0), (2, 2), (2, 2)), 'edge')
    local, out = (layer.weight.detach().numpy() for layer in (network.local, network.out))
    hidden = np.stack([sum(
        cv2.filter2D(planes[c], cv2.CV_32F, local[k, c])[1:-1, 1:-1] for c in range(2))
        for k in range(len(local))]).clip(min=0)
    change = sum(cv2.filter2D(hidden[k], cv2.CV_32F, out[0, k])[1:-1, 1:-1]
                 for k in range(len(hidden))) + network.out.bias.item()
    expected = ((visible + thermal)[0, 0].numpy() / 2 + change).clip(0, 1)
    np.testing.assert_allclose(
        network(visible, thermal)[0, 0].detach().numpy(), expected, atol=1e-5)


def test_mini_sees_its_surroundings():
    network = fresh('mini').train()
    visible = torch.full((1, 1, 64, 64), 0.5, requires_grad=True)
    network(visible, torch.full((1, 1, 64, 64), 0.4))[0, 0, 32, 32].backward()
    seen = visible.grad[0, 0] != 0
    assert seen[32, 32 + 9]
    assert not seen[32, 63]


def test_paths_of_mff_gan_meet_in_the_exchange():
    """Without exchange and last layer, what a path makes depends on its own source only."""
    network = fresh('mff_gan').train()
    made = {}
    for path, layer in enumerate(network.third):
        layer.register_forward_hook(lambda _, __, out, path=path: made.__setitem__(path, out))
    visible = random(1, 1, 16, 16)
    network(visible, random(1, 1, 16, 16, seed=1))
    before = made[0]
    network(visible, random(1, 1, 16, 16, seed=2))
    assert not torch.equal(before, made[0])
    for layer in network.exchange:
        torch.nn.init.zeros_(layer.weight)
    network(visible, random(1, 1, 16, 16, seed=1))
    before = made[0]
    network(visible, random(1, 1, 16, 16, seed=2))
    assert torch.equal(before, made[0])


def test_decoder_of_ufgan_reads_each_scale_of_the_encoder():
    network = fresh('ufgan').train()
    visible, thermal = random(1, 1, 32, 32), random(1, 1, 32, 32, seed=1)
    full = network(visible, thermal)
    for block in network.up:
        kept = block.join.weight.detach().clone()
        half = kept.shape[1] // 2
        with torch.no_grad():
            block.join.weight[:, half:] = 0
        assert not torch.allclose(network(visible, thermal), full, atol=1e-6)
        with torch.no_grad():
            block.join.weight.copy_(kept)


def load(folder, dataset, stem, suffix):
    """Luma and thermal image of an unseen pair, (H, W) uint8."""
    return tuple(cv2.imread(str(folder / dataset / kind / f'{stem}{suffix}'), cv2.IMREAD_GRAYSCALE)
                 for kind in ('rgb', 'thermal'))


def fuse(network, visible, thermal):
    planes = [torch.from_numpy(plane)[None, None] / 255 for plane in (visible, thermal)]
    with torch.inference_mode():
        return network(*planes)[0, 0].mul(255).round().byte().numpy()


def quality(fused, thermal, visible):
    found = evaluate(fused, thermal, visible)
    return found['VIF'] + found['Qabf'] + found['SSIM'] + found['SCD'] / 2


@pytest.mark.parametrize('name', ['ufgan', 'mff_gan', 'mini'])
@pytest.mark.parametrize('pair', PAIRS)
def test_shipped_weights_fuse_better_than_fresh_ones(name, pair, shared_data):
    assert name in shipped_names()
    visible, thermal = load(shared_data, *pair)
    trained, untrained = (
        quality(fuse(network, visible, thermal), thermal, visible)
        for network in (load_network(name), fresh(name)))
    assert trained > untrained + 0.1


def detail(image):
    """What is finer than four pixels."""
    image = image.astype(np.float64)
    return image - cv2.GaussianBlur(image, (0, 0), 2)


@pytest.mark.parametrize('pair', PAIRS)
def test_shipped_fusiongan_has_thermal_levels_and_visible_detail(pair, shared_data):
    visible, thermal = load(shared_data, *pair)
    fused = fuse(load_network('fusiongan'), visible, thermal)
    untrained = fuse(fresh('fusiongan'), visible, thermal)

    def level_error(image):
        return np.abs(cv2.blur(image.astype(np.float64) - thermal, (15, 15))).mean()

    def detail_kept(image):
        return np.corrcoef(detail(image).ravel(), detail(visible).ravel())[0, 1]

    assert level_error(fused) < 0.5 * level_error(untrained)
    assert detail_kept(fused) > 0.5
    assert detail_kept(fused) > detail_kept(thermal) + 0.3


@pytest.mark.parametrize('name', NAMES)
def test_shipped_weights_leave_no_pattern_of_pixels(name):
    """On even surfaces, the four pixels of a block are the same: no checkerboard."""
    network = load_network(name)
    for v, t in ((0.2, 0.7), (0.8, 0.3), (0.5, 0.5), (0.05, 0.05)):
        with torch.inference_mode():
            fused = network(torch.full((1, 1, 128, 128), v), torch.full((1, 1, 128, 128), t))
        inside = fused[..., 48:80, 48:80]
        assert inside.max() - inside.min() < 3 / 255, (v, t)
        assert min(v, t) - 0.15 < inside.mean() < max(v, t) + 0.15
