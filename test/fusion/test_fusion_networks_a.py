# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""DenseFuse, PMGI, PIAFusion and the Restormer network do what their papers say."""

import numpy as np
import pytest
import torch

from ivif_ros.fusion.networks import build
from ivif_ros.fusion.networks.densefuse import DenseFuse, add_features, l1_weights, weigh_features
from ivif_ros.fusion.networks.folding import fold_image, unfold_image
from ivif_ros.fusion.networks.piafusion import exchange_differences
from ivif_ros.fusion.networks.pmgi import PathwiseTransfer
from ivif_ros.fusion.networks.restormer_blocks import (
    AdaptiveFusion,
    ChannelNorm,
    GatedFeedForward,
    Projection,
    TransformerBlock,
    attend,
)
from ivif_ros.fusion.weights import load_network, shipped_names
from ivif_ros.metrics.fusion import evaluate

NAMES = ('densefuse', 'pmgi', 'piafusion', 'restormer')


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def fresh(name, **config):
    torch.manual_seed(1)
    return build(name, **config).eval()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [(1, 1), (3, 2), (1, 9), (37, 53), (64, 48)])
def test_any_size_gives_an_image_of_the_same_size(name, size):
    visible, thermal = random(2, 1, *size), random(2, 1, *size, seed=1)
    kept = visible.clone(), thermal.clone()
    fused = fresh(name)(visible, thermal)
    assert fused.shape == visible.shape
    assert fused.dtype == torch.float32
    assert fused.isfinite().all()
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert torch.equal(visible, kept[0])
    assert torch.equal(thermal, kept[1])


@pytest.mark.parametrize('name', NAMES)
def test_images_of_a_batch_do_not_meet(name):
    network = fresh(name)
    visible, thermal = random(3, 1, 20, 24), random(3, 1, 20, 24, seed=1)
    together = network(visible, thermal)
    alone = torch.cat([network(visible[i:i + 1], thermal[i:i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_gradients_reach_all_parameters_and_both_images(name):
    network = fresh(name)
    if name != 'densefuse':
        network.train()
    visible, thermal = random(2, 1, 24, 24), random(2, 1, 24, 24, seed=1)
    visible.requires_grad_()
    thermal.requires_grad_()
    with torch.no_grad():  # the middle of the range, where nothing is clipped
        last = [p for p in network.parameters() if p.shape == (build(name).fold ** 2,)][-1]
        last += 0.5 if name != 'restormer' else 0
    network(visible, thermal).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key
    assert visible.grad.abs().sum() > 0
    assert thermal.grad.abs().sum() > 0


@pytest.mark.parametrize('name', ['densefuse', 'pmgi'])
def test_the_overlap_covers_the_receptive_field(name):
    network = fresh(name)
    visible, thermal = random(1, 1, 96, 96), random(1, 1, 96, 96, seed=1)
    overlap, start = network.OVERLAP, 40
    assert start % network.MULTIPLE == 0
    whole = network(visible, thermal)
    tile = network(visible[..., start - overlap:, start - overlap:],
                   thermal[..., start - overlap:, start - overlap:])
    assert torch.allclose(whole[..., start:, start:], tile[..., overlap:, overlap:], atol=1e-5)


def test_weights_are_small():
    for name, most in (('densefuse', 45e3), ('pmgi', 50e3), ('piafusion', 60e3),
                       ('restormer', 70e3)):
        assert sum(p.numel() for p in build(name).parameters()) < most, name


def test_folding_keeps_every_pixel():
    image = random(2, 1, 7, 10)
    folded = fold_image(image, 4)
    assert folded.shape == (2, 16, 4, 5)
    assert torch.equal(unfold_image(folded, 4, image), image)


# DenseFuse

def test_the_addition_rule_is_the_mean_of_the_features():
    a, b = random(1, 5, 3, 4), random(1, 5, 3, 4, seed=1)
    assert np.allclose(add_features(a, b).numpy(), (a.numpy() + b.numpy()) / 2)


def test_the_l1_rule_agrees_with_a_loop():
    a, b = random(1, 5, 6, 7) - 0.5, random(1, 5, 6, 7, seed=1) - 0.5
    x, y = a.numpy()[0].astype(np.float64), b.numpy()[0].astype(np.float64)
    expected = np.empty_like(x)
    weights = np.empty(x.shape[1:])
    for row in range(6):
        for column in range(7):
            activity = []
            for features in (x, y):
                box = features[:, max(row - 1, 0):row + 2, max(column - 1, 0):column + 2]
                activity.append(np.abs(box).sum(0).mean())
            weights[row, column] = activity[0] / sum(activity)
            expected[:, row, column] = (weights[row, column] * x[:, row, column]
                                        + (1 - weights[row, column]) * y[:, row, column])
    assert np.allclose(l1_weights(a, b)[0, 0].numpy(), weights, atol=1e-5)
    assert np.allclose(weigh_features(a, b)[0].numpy(), expected, atol=1e-5)


def test_sources_without_activity_share_equally():
    nothing = torch.zeros(1, 4, 5, 5)
    assert torch.allclose(l1_weights(nothing, nothing), torch.full((1, 1, 5, 5), 0.5))


def test_both_rules_leave_the_weights_and_equal_images_alone():
    network = fresh('densefuse', rule='addition')
    image, other = random(1, 1, 30, 30), random(1, 1, 30, 30, seed=1)
    expected = network.reconstruct(image).clamp(0, 1)
    added = network(image, other)
    assert torch.allclose(network(image, image), expected, atol=1e-6)
    network.rule = 'l1'
    assert torch.allclose(network(image, image), expected, atol=1e-6)
    assert not torch.equal(network(image, other), added)


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="unknown rule 'maximum', expected one of addition, l1"):
        DenseFuse(rule='maximum')


# PMGI

def test_each_path_hears_of_the_other_one():
    torch.manual_seed(0)
    transfer = PathwiseTransfer(3)
    gradient = random(1, 3, 2, 2).requires_grad_()
    intensity = random(1, 3, 2, 2, seed=1).requires_grad_()
    to_gradient, to_intensity = transfer(gradient, intensity)
    for received, sender in ((to_gradient, intensity), (to_intensity, gradient)):
        slope, = torch.autograd.grad(received.sum(), sender, retain_graph=True)
        assert slope.abs().sum() > 0


def test_the_last_layer_of_a_path_depends_on_the_other_path_through_the_exchange_alone():
    network = fresh('pmgi')
    seen = {}
    network.gradient[3].register_forward_hook(lambda module, x, y: seen.update(last=y))
    visible, thermal = random(1, 1, 16, 16), random(1, 1, 16, 16, seed=1)

    def last_gradient_layer(change):
        with torch.no_grad():
            network.intensity[1].weight += change
            network(visible, thermal)
            network.intensity[1].weight -= change
        return seen['last'].clone()

    with_exchange = (last_gradient_layer(0.0) - last_gradient_layer(0.5)).abs().max()
    for transfer in network.transfers:
        torch.nn.init.zeros_(transfer.to_gradient.weight)
    without = (last_gradient_layer(0.0) - last_gradient_layer(0.5)).abs().max()
    assert with_exchange > 1e-3
    assert without == 0


def test_the_paths_of_pmgi_see_two_copies_of_their_own_image():
    network = fresh('pmgi')
    seen = []
    network.gradient[0].register_forward_pre_hook(lambda module, x: seen.append(x[0]))
    network.intensity[0].register_forward_pre_hook(lambda module, x: seen.append(x[0]))
    visible, thermal = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    network(visible, thermal)
    assert seen[0].mean() == pytest.approx(1 / 3)
    assert seen[1].mean() == pytest.approx(2 / 3)


# PIAFusion

def test_differences_are_exchanged_channel_by_channel():
    a, b = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    x, y = a.double().numpy(), b.double().numpy()
    expected = [x.copy(), y.copy()]
    for n in range(2):
        for c in range(3):
            for result, own, other in ((expected[0], x, y), (expected[1], y, x)):
                difference = other[n, c] - own[n, c]
                result[n, c] += difference / (1 + np.exp(-difference.mean()))
    for got, wanted in zip(exchange_differences(a, b), expected, strict=True):
        assert np.allclose(got.numpy(), wanted, atol=1e-6)


# Restormer

def test_attention_agrees_with_a_loop():
    heads, size = 2, 3
    query, key, value = (random(2, heads * size, 4, 5, seed=i) - 0.5 for i in range(3))
    temperature = torch.tensor([0.5, 3.0]).view(2, 1, 1)
    got = attend(query, key, value, temperature).numpy()
    q, k, v = (x.double().numpy() for x in (query, key, value))
    for n in range(2):
        for head in range(heads):
            for i in range(size):
                row = head * size + i
                scores = []
                for j in range(head * size, (head + 1) * size):
                    a, b = q[n, row].ravel(), k[n, j].ravel()
                    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
                    scores.append(np.exp(float(temperature[head]) * cosine))
                shares = np.array(scores) / sum(scores)
                expected = np.tensordot(shares, v[n, head * size:(head + 1) * size], 1)
                assert np.allclose(got[n, row], expected, atol=1e-5)


def test_channel_norm_agrees_with_a_loop():
    norm = ChannelNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    x = random(1, 3, 2, 2)
    got = norm(x).detach().numpy()
    for row in range(2):
        for column in range(2):
            pixel = x[0, :, row, column].double().numpy()
            expected = ((pixel - pixel.mean()) / np.sqrt(pixel.var() + 1e-5)
                        * norm.weight.detach().numpy() + norm.bias.detach().numpy())
            assert np.allclose(got[0, :, row, column], expected, atol=1e-5)


def test_the_feed_forward_network_gates_one_half_by_the_other():
    torch.manual_seed(0)
    block = GatedFeedForward(4, 1.5)
    x = random(1, 4, 5, 5) - 0.5
    both = block.halves(x).detach()
    assert both.shape[1] == 12
    gate, content = both[:, :6].double(), both[:, 6:].double()
    hidden = gate * 0.5 * (1 + torch.erf(gate / 2 ** 0.5)) * content
    expected = np.einsum('oi,nihw->nohw', block.out.weight.detach().double().numpy()[..., 0, 0],
                         hidden.numpy())
    assert np.allclose(block(x).detach().numpy(), expected, atol=1e-6)


def test_a_block_without_output_projections_changes_nothing():
    block = TransformerBlock(8, heads=2)
    torch.nn.init.zeros_(block.attention.out.weight)
    torch.nn.init.zeros_(block.feed_forward.out.weight)
    x = random(1, 8, 6, 6)
    assert torch.equal(block(x), x)


def test_the_projection_mixes_channels_then_filters_each():
    torch.manual_seed(0)
    projection = Projection(2, 3)
    x = random(1, 2, 5, 5)
    mixed = np.einsum('oi,nihw->nohw', projection.mix.weight.detach().numpy()[..., 0, 0],
                      x.numpy())
    kernel = projection.local.weight.detach().numpy()[:, 0]
    centre = (mixed[0, :, 1:4, 1:4] * kernel).sum((1, 2))
    assert np.allclose(projection(x).detach().numpy()[0, :, 2, 2], centre, atol=1e-6)


def test_adaptive_fusion_lets_each_modality_ask_the_other():
    torch.manual_seed(0)
    fusion = AdaptiveFusion(8, heads=2)
    for select in fusion.select:  # what remains is [a, b] after cross attention
        torch.nn.init.zeros_(select.weight)
    a, b = random(1, 8, 6, 6), random(1, 8, 6, 6, seed=1)
    query_b = fusion.query_key_value[1](b).chunk(3, 1)[0]
    _, key_a, value_a = fusion.query_key_value[0](a).chunk(3, 1)
    expected = a + fusion.attended[0](attend(query_b, key_a, value_a, fusion.temperature[0]))
    merged = fusion(a, b)
    assert torch.allclose(merged[:, :8], expected, atol=1e-6)
    assert not torch.allclose(merged[:, 8:], b, atol=1e-3)


def test_the_restormer_network_has_second_derivatives():
    # Meta-learned losses differentiate through an update of the weights.
    network = fresh('restormer', width=8, blocks=1, heads=2).train()
    visible, thermal = random(1, 1, 8, 8), random(1, 1, 8, 8, seed=1)
    factor = torch.tensor(1.0, requires_grad=True)
    parameters = dict(network.named_parameters())
    fused = torch.func.functional_call(network, parameters, (visible, thermal))
    loss = factor * fused.square().mean()
    slopes = torch.autograd.grad(loss, tuple(parameters.values()), create_graph=True)
    updated = {key: value - 0.1 * slope
               for (key, value), slope in zip(parameters.items(), slopes, strict=True)}
    after = torch.func.functional_call(network, updated, (visible, thermal)).pow(2).mean()
    assert torch.autograd.grad(after, factor)[0].abs() > 0


# Weights of the package

def scene():
    """Night: a lamp and a kerb that the colour camera sees, a person and a wall only in thermal."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    visible = 0.06 + 0.02 * np.sin(x / 3) + 0.8 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 60)
    visible[70:73] += 0.3
    thermal = 0.3 + 0.1 * (x > 90) + 0.5 * ((np.abs(x - 64) < 6) & (np.abs(y - 48) < 18))
    return visible.clip(0, 1), thermal.clip(0, 1)


def fuse(network, visible, thermal):
    planes = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in
              (visible, thermal))
    with torch.no_grad():
        return network(*planes)[0, 0].numpy()


@pytest.mark.parametrize('name', NAMES)
def test_shipped_weights_fuse_better_than_fresh_ones(name):
    if name not in shipped_names():
        pytest.skip(f'this checkout has no weights of {name}')
    visible, thermal = scene()
    levels = [(plane * 255).round().astype(np.uint8) for plane in (visible, thermal)]
    figures = []
    for network in (load_network(name), fresh(name)):
        fused = (fuse(network, visible, thermal) * 255).round().astype(np.uint8)
        found = evaluate(fused, levels[1], levels[0])
        figures.append(found['VIF'] + found['Qabf'] + found['SSIM'])
    assert figures[0] > figures[1] + 0.2


@pytest.mark.parametrize('name', NAMES)
def test_shipped_weights_show_what_each_camera_alone_sees(name):
    if name not in shipped_names():
        pytest.skip(f'this checkout has no weights of {name}')
    visible, thermal = scene()
    fused = fuse(load_network(name), visible, thermal)
    person, around = fused[35:62, 60:69].mean(), fused[35:62, 40:54].mean()
    lamp, sky = fused[18:23, 28:33].mean(), fused[18:23, 45:60].mean()
    assert person > around + 0.1
    assert lamp > sky + 0.1
