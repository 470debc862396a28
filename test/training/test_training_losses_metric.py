# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable figures against the NumPy figures and against finite differences."""

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ImageError
from ivif_ros.metrics import fusion
from ivif_ros.training.losses import metric
from ivif_ros.training.losses.filters import gaussian
from ivif_ros.training.losses.metric import SourceStatistics
from ivif_ros.training.losses.quality import quality_loss

FIGURES = ('EN', 'SD', 'SF', 'AG', 'SCD', 'VIF', 'Qabf', 'SSIM', 'CC')


def plane(image, dtype=torch.float32):
    return torch.from_numpy(image.astype(np.float64) / 255).to(dtype)[None, None]


def figures(fused, thermal, visible):
    """All figures of (n, 1, h, w) planes, name -> (n,)."""
    s = SourceStatistics(thermal, visible)
    return {'EN': metric.entropy(fused), 'SD': metric.sd(fused), 'SF': metric.sf(fused),
            'AG': metric.ag(fused), 'SCD': s.scd(fused), 'VIF': s.vif(fused),
            'Qabf': s.qabf(fused), 'SSIM': s.ssim(fused), 'CC': s.cc(fused)}


def scene(seed, height=120, width=150):
    """Pair of 8-bit images with edges, textures, flat parts and noise."""
    rng = np.random.default_rng(seed)
    visible = np.full((height, width), 90.0)
    visible[20:70, 30:90] = 160
    visible[:, 100:] += 30 * np.sin(np.arange(width - 100) / 2)
    visible[60:] += rng.normal(0, 6, (height - 60, width))
    thermal = np.full((height, width), 40.0)
    cv2.circle(thermal, (60, 80), 18, 220, -1)
    thermal = cv2.GaussianBlur(thermal, (0, 0), 1.5) + np.linspace(0, 20, width)
    return tuple(np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (thermal, visible))


def fusions(thermal, visible):
    t, v = thermal.astype(int), visible.astype(int)
    rng = np.random.default_rng(1)
    return {
        'average': ((t + v) // 2).astype(np.uint8), 'maximum': np.maximum(thermal, visible),
        'thermal': thermal, 'gain': np.clip(2 * v - 60, 0, 255).astype(np.uint8),
        'noise': np.clip(v + rng.normal(0, 20, v.shape), 0, 255).astype(np.uint8),
        'blurred': cv2.GaussianBlur(visible, (0, 0), 2.0),
        'shifted': np.roll(np.maximum(thermal, visible), 2, axis=1)}


def assert_agrees(thermal, visible, tolerance, names=('average', 'maximum', 'thermal', 'gain',
                                                       'noise', 'blurred', 'shifted')):
    images = fusions(thermal, visible)
    for name in names:
        image = images[name]
        expected = fusion.evaluate(image, thermal, visible)
        found = figures(plane(image), plane(thermal), plane(visible))
        for figure in FIGURES:
            assert float(found[figure]) == pytest.approx(
                expected[figure], rel=tolerance, abs=2e-4), (name, figure)


@pytest.mark.parametrize('seed', [0, 1])
def test_the_figures_are_those_of_the_evaluation_on_synthetic_scenes(seed):
    assert_agrees(*scene(seed), tolerance=1e-3)


def test_the_figures_are_those_of_the_evaluation_on_noise():
    rng = np.random.default_rng(5)
    assert_agrees(*(rng.integers(0, 256, (91, 74)).astype(np.uint8) for _ in range(2)), 1e-3)


def test_small_variances_of_bright_images_survive_single_precision():
    rng = np.random.default_rng(5)
    thermal = (rng.random((120, 120)) < 0.3).astype(np.uint8) + 250
    visible = (rng.random((120, 120)) < 0.3).astype(np.uint8) + 249
    fused = np.maximum(thermal, visible)
    expected = fusion.evaluate(fused, thermal, visible)
    found = figures(plane(fused), plane(thermal), plane(visible))
    assert float(found['VIF']) == pytest.approx(expected['VIF'], rel=0.01)
    assert float(found['SSIM']) == pytest.approx(expected['SSIM'], abs=2e-5)


def test_the_figures_are_those_of_the_evaluation_on_real_pairs(shared_data):
    names = ['msrs/{}/00008N.webp', 'msrs/{}/01449D.webp']
    for name in names:
        thermal, visible = (cv2.imread(str(shared_data / name.format(kind)),
                                       cv2.IMREAD_GRAYSCALE)[150:350, 200:440]
                            for kind in ('thermal', 'rgb'))
        assert_agrees(thermal, visible, 1e-3, ('average', 'maximum', 'gain'))


def test_each_image_of_a_batch_is_judged_by_itself():
    scenes = [scene(seed) for seed in (0, 1, 2)]
    thermal, visible = (torch.cat([plane(s[i]) for s in scenes]) for i in (0, 1))
    fused = torch.maximum(thermal, visible)
    together = figures(fused, thermal, visible)
    for k in range(3):
        alone = figures(fused[k:k + 1], thermal[k:k + 1], visible[k:k + 1])
        for figure in FIGURES:
            assert together[figure].shape == (3,)
            assert float(together[figure][k]) == pytest.approx(float(alone[figure]), rel=1e-4)


def test_the_functions_of_one_source_average_to_those_of_both():
    thermal, visible = (plane(x) for x in scene(0))
    fused = 0.4 * thermal + 0.6 * visible
    s = SourceStatistics(thermal, visible)
    for both, one in ((s.vif, metric.vif), (s.ssim, metric.ssim)):
        torch.testing.assert_close(
            both(fused), (one(fused, thermal) + one(fused, visible)) / 2, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(metric.qabf(fused, thermal, visible), s.qabf(fused))
    torch.testing.assert_close(metric.scd(fused, thermal, visible), s.scd(fused))
    torch.testing.assert_close(metric.cc(fused, thermal, visible), s.cc(fused))


def test_a_source_is_perfect_against_itself():
    thermal, _ = (plane(x) for x in scene(0))
    assert float(metric.vif(thermal, thermal)) == pytest.approx(1, abs=1e-3)
    assert float(metric.ssim(thermal, thermal)) == pytest.approx(1, abs=1e-4)
    assert float(metric.qabf(thermal, thermal, thermal)) == pytest.approx(
        0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4)), abs=1e-4)


def random_planes(height, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    return (torch.rand(2, 1, height, width, generator=generator, dtype=dtype) for _ in range(3))


def assert_right_derivative(value, fused):
    """Compare the slope along random directions with central differences, output by output."""
    generator = torch.Generator().manual_seed(11)
    step = 1e-7  # float64 keeps all of it; random planes are far from the corners of min and |.|
    for _ in range(3):
        along = torch.randn(fused.shape, generator=generator, dtype=fused.dtype)
        weight = torch.randn(value(fused).shape, generator=generator, dtype=fused.dtype)
        x = fused.clone().requires_grad_()
        (slope,) = torch.autograd.grad((value(x) * weight).sum(), x)
        expected = ((value(fused + step * along) - value(fused - step * along))
                    * weight).sum() / (2 * step)
        assert float((slope * along).sum()) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize('figure', ['sf', 'ag', 'sd'])
def test_derivatives_of_figures_of_one_image_are_those_of_finite_differences(figure):
    fused, _, _ = random_planes(9, 11)
    assert_right_derivative(getattr(metric, figure), fused)


@pytest.mark.parametrize(('figure', 'size'), [
    ('ssim_of_each', (9, 12)), ('scd', (8, 9)), ('cc', (8, 9)), ('qabf', (10, 9)),
    ('vif_of_each', (73, 80))])
def test_derivatives_against_sources_are_those_of_finite_differences(figure, size):
    fused, thermal, visible = random_planes(*size)
    value = getattr(SourceStatistics(thermal, visible), figure)
    assert_right_derivative(value, 0.7 * fused + 0.3 * thermal)


def test_the_derivative_of_the_entropy_points_where_it_grows():
    thermal, visible = (plane(x) for x in scene(0))
    fused = (0.2 + 0.1 * (thermal + visible)).requires_grad_()  # narrow range: room to spread
    before = metric.entropy(fused)
    (slope,) = torch.autograd.grad(before.sum(), fused)
    step = slope / slope.abs().max()
    after = metric.entropy((fused + 0.03 * step).detach())
    assert float(after) > float(before.detach()) + 0.05
    worse = metric.entropy((fused - 0.03 * step).detach())
    assert float(worse) < float(before.detach())


def test_ascent_raises_the_figures_of_an_average():
    thermal, visible = (plane(x) for x in scene(0))
    s = SourceStatistics(thermal, visible)
    for figure in (s.vif, s.ssim, s.qabf, s.scd, s.cc, metric.sf, metric.ag, metric.sd):
        fused = (0.5 * (thermal + visible)).requires_grad_()
        before = figure(fused)
        (slope,) = torch.autograd.grad(before.sum(), fused)
        after = figure((fused + 1e-3 * slope / slope.abs().max()).detach())
        assert float(after) > float(before.detach()), figure


@pytest.mark.parametrize('fill', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('source', ['scene', 'constant'])
def test_values_and_derivatives_are_finite_on_constant_images(fill, source):
    thermal, visible = (plane(x) for x in scene(0))
    if source == 'constant':
        thermal, visible = torch.full_like(thermal, fill), torch.full_like(visible, fill)
    for name in FIGURES:
        fused = torch.full_like(thermal, fill).requires_grad_()
        value = figures(fused, thermal, visible)[name]
        value.sum().backward()
        assert torch.isfinite(value).all(), name
        assert torch.isfinite(fused.grad).all(), name
        assert float(fused.grad.abs().max()) < 1e3, name


def test_saturated_images_have_finite_derivatives():
    thermal, visible = (plane(x) for x in scene(0))
    fused = ((visible - 0.5) * 8 + 0.5).clamp(0, 1).requires_grad_()
    for name in FIGURES:
        fused.grad = None
        figures(fused, thermal, visible)[name].sum().backward()
        assert torch.isfinite(fused.grad).all(), name


def test_under_autocast_the_figures_stay_exact():
    thermal, visible = (plane(x) for x in scene(0))
    fused = torch.maximum(thermal, visible)
    expected = figures(fused, thermal, visible)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = figures(fused, thermal, visible)
    for name in FIGURES:
        torch.testing.assert_close(found[name], expected[name])


def test_half_precision_images_are_judged_in_single_precision():
    thermal, visible = (plane(x).bfloat16() for x in scene(0))
    fused = torch.maximum(thermal, visible).requires_grad_()
    found = figures(fused, thermal, visible)
    expected = figures(fused.detach().float(), thermal.float(), visible.float())
    for name in FIGURES:
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name].detach(), expected[name])
    found['VIF'].sum().backward()
    assert fused.grad.dtype == torch.bfloat16


def test_filters_first_used_in_inference_mode_train_afterwards():
    gaussian.cache_clear()
    thermal, visible = (plane(x) for x in scene(0))
    with torch.inference_mode():
        metric.vif(thermal, visible)
    fused = visible.clone().requires_grad_()
    metric.vif(fused, thermal).sum().backward()
    assert fused.grad.abs().max() > 0


def test_planes_of_another_shape_are_refused_by_name():
    x = torch.rand(2, 1, 80, 80)
    with pytest.raises(ImageError, match=r'visible is \(2, 1, 80, 81\)'):
        SourceStatistics(x, torch.rand(2, 1, 80, 81))
    with pytest.raises(ImageError, match=r'fused is \(2, 3, 80, 80\)'):
        metric.sf(torch.rand(2, 3, 80, 80))
    with pytest.raises(ImageError, match='72 pixels'):
        metric.vif(x[..., :70], x[..., :70])
    with pytest.raises(ImageError, match='7 pixels'):
        metric.ssim(x[..., :6], x[..., :6])


def test_the_quality_loss_is_the_sum_of_what_is_lacking():
    thermal, visible = scene(0)
    fused = fusions(thermal, visible)['average']
    expected = fusion.evaluate(fused, thermal, visible)
    goal = max(fusion.spatial_frequency(thermal), fusion.spatial_frequency(visible))
    found = quality_loss(plane(fused), plane(thermal), plane(visible),
                         {'vif': 1.0, 'scd': 0.5, 'sf': 2.0, 'qabf': 0.0}, share=0.9)
    assert float(found) == pytest.approx(
        1 - expected['VIF'] + 0.5 * (2 - expected['SCD'])
        + 2 * max(0, 1 - expected['SF'] / (0.9 * goal)), rel=1e-3)
    noisy = plane(fusions(thermal, visible)['noise'])
    assert float(quality_loss(noisy, plane(thermal), plane(visible), {'sf': 1.0})) == 0
    with pytest.raises(ValueError, match='no figure'):
        quality_loss(plane(fused), plane(thermal), plane(visible), {'psnr': 1.0})
