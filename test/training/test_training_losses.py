# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Each loss is least where it should be, and equals a plain NumPy or hand computation."""


import cv2
import numpy as np
import pytest
import torch
from training_pair import make_pair

from ivif_ros.errors import ImageError
from ivif_ros.training.losses import filters, focus, illumination, pixel, pmgi, saliency, structural


@pytest.fixture
def pair():
    return make_pair()


def sobel_loops(image):
    """Sobel gradients (gx, gy) of an (h, w) array with repeated borders, one pixel at a time."""
    p = np.pad(image, 1, mode='edge')
    gx, gy = np.empty_like(image), np.empty_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            w = p[y:y + 3, x:x + 3]
            gx[y, x] = w[0, 2] + 2 * w[1, 2] + w[2, 2] - w[0, 0] - 2 * w[1, 0] - w[2, 0]
            gy[y, x] = w[2, 0] + 2 * w[2, 1] + w[2, 2] - w[0, 0] - 2 * w[0, 1] - w[0, 2]
    return gx, gy


def array(tensor):
    return tensor.detach().numpy()


# --- filters


def test_the_separable_filter_is_that_of_opencv(pair):
    thermal, _ = pair
    rows = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    columns = torch.tensor([0.1, 0.0, 0.2, 0.7, 0.0], dtype=torch.float64)
    found = filters.filter_valid(thermal, rows, columns)
    for k in range(2):
        expected = cv2.sepFilter2D(array(thermal)[k, 0], -1, array(columns), array(rows))
        np.testing.assert_allclose(array(found)[k, 0], expected[1:-1, 2:-2], atol=1e-12)
    torch.testing.assert_close(
        filters.filter_valid(thermal, rows, columns, 2), found[..., ::2, ::2])
    torch.testing.assert_close(filters.filter_valid(thermal[:1], rows, columns), found[:1])


def test_the_window_maximum_is_dilation(pair):
    thermal, _ = pair
    for size in (1, 3, 5, 7):
        expected = cv2.dilate(array(thermal)[0, 0], np.ones((size, size), np.uint8))
        np.testing.assert_array_equal(array(filters.window_max(thermal, size))[0, 0], expected)


# --- pixel


def test_intensity_losses_are_their_formulas(pair):
    thermal, visible = pair
    fused = 0.3 * thermal + 0.7 * visible + 0.05
    t, v, f = (array(x) for x in (thermal, visible, fused))
    weight = torch.rand(2, 1, 24, 28, dtype=torch.float64)
    w = array(weight)
    for found, expected in (
            (pixel.intensity_of(fused, thermal, 2), ((f - t) ** 2).mean()),
            (pixel.intensity_max(fused, thermal, visible), np.abs(f - np.maximum(t, v)).mean()),
            (pixel.intensity_average(fused, thermal, visible), np.abs(f - (t + v) / 2).mean()),
            (pixel.intensity_weighted(fused, thermal, visible, 0.2),
             0.2 * np.abs(f - t).mean() + 0.8 * np.abs(f - v).mean()),
            (pixel.intensity_weighted(fused, thermal, visible, weight, 2),
             (w * (f - t) ** 2 + (1 - w) * (f - v) ** 2).mean()),
            (pixel.total_variation(fused),
             np.abs(np.diff(f, axis=2)).mean() + np.abs(np.diff(f, axis=3)).mean())):
        assert float(found) == pytest.approx(expected)
    with pytest.raises(ValueError, match='1 or 2'):
        pixel.intensity_of(fused, thermal, 3)


def test_gradient_losses_are_their_formulas(pair):
    thermal, visible = pair
    fused = 0.3 * thermal + 0.7 * visible
    grad = {name: [np.stack([sobel_loops(array(x)[k, 0])[axis] for k in range(2)]) / 4
                   for axis in (0, 1)]
            for name, x in (('f', fused), ('t', thermal), ('v', visible))}
    strength = {name: np.hypot(*g) for name, g in grad.items()}
    target = np.maximum(strength['t'], strength['v'])
    assert float(pixel.gradient_max(fused, thermal, visible)) == pytest.approx(
        np.abs(strength['f'] - target).mean(), rel=1e-5)
    stronger = strength['t'] > strength['v']
    joint = sum(np.abs(grad['f'][a] - np.where(stronger, grad['t'][a], grad['v'][a])).mean()
                for a in (0, 1))
    assert float(pixel.gradient_joint(fused, thermal, visible)) == pytest.approx(joint)
    single = sum(((grad['f'][a] - grad['v'][a]) ** 2).mean() for a in (0, 1))
    assert float(pixel.gradient_of(fused, visible)) == pytest.approx(single)
    assert float(focus.joint_gradient(thermal, visible).mean()) == pytest.approx(
        target.mean(), rel=1e-5)


def test_a_ramp_has_a_sobel_gradient_of_eight_units():
    ramp = torch.arange(10.0).expand(1, 1, 6, 10)
    gx, gy = filters.sobel(ramp)
    assert (gx[..., 1:-1] == 8).all()
    assert (gy == 0).all()


def test_only_the_joint_gradient_sees_inverted_contrast(pair):
    _, visible = pair
    flat = torch.full_like(visible, 0.5)
    inverted = 1 - visible
    assert float(pixel.gradient_max(inverted, flat, visible)) < 1e-6
    assert float(pixel.gradient_joint(inverted, flat, visible)) > 0.02
    assert float(pixel.gradient_joint(visible, flat, visible)) == 0


def test_the_high_frequency_loss_is_least_at_the_stronger_detail(pair):
    thermal, visible = pair
    flat = torch.full_like(visible, 0.5)
    assert float(pixel.high_frequency(visible + 0.1, flat, visible)) == pytest.approx(0, abs=1e-12)
    blurred = filters.blur(visible, 1.0)
    assert float(pixel.high_frequency(blurred, flat, visible)) > 0.005
    t, v = (np.stack([cv2.Laplacian(array(x)[k, 0], cv2.CV_64F, borderType=cv2.BORDER_REPLICATE)
                      for k in range(2)]) for x in (thermal, visible))
    assert float(pixel.high_frequency(flat, thermal, visible)) == pytest.approx(
        np.maximum(np.abs(t), np.abs(v)).mean() / 4)


# --- structural


def test_ssim_losses_vanish_at_the_source_and_grow_with_noise(pair):
    _, visible = pair
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 1, visible.shape))
    for loss in (lambda f: structural.ssim_loss(f, visible, visible),
                 lambda f: structural.ssim_to(f, visible),
                 lambda f: structural.ms_ssim_loss(f, visible, visible, scales=2)):
        values = [float(loss(visible + level * noise)) for level in (0, 0.02, 0.1)]
        assert values[0] == pytest.approx(0, abs=1e-9)
        assert values[0] < values[1] < values[2]


def test_the_weight_of_the_ssim_loss_is_that_of_the_thermal_image(pair):
    thermal, visible = pair
    expected = [float(structural.ssim_to(visible, source)) for source in (thermal, visible)]
    assert float(structural.ssim_loss(visible, thermal, visible, 0.8)) == pytest.approx(
        0.8 * expected[0] + 0.2 * expected[1])
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    of_first = float(structural.ssim_to(visible[:1], thermal[:1]))
    assert float(structural.ssim_loss(visible, thermal, visible, weights)) == pytest.approx(
        of_first / 2, abs=1e-6)


def test_one_scale_of_ms_ssim_is_ssim(pair):
    thermal, visible = pair
    fused = (thermal + visible) / 2
    torch.testing.assert_close(structural.ms_ssim_loss(fused, thermal, visible, scales=1),
                               structural.ssim_loss(fused, thermal, visible))
    inverted = (1 - visible).requires_grad_()  # negative structure has no root
    worst = structural.ms_ssim_loss(inverted, visible, visible, scales=2)
    worst.backward()
    assert 0.9 < float(worst.detach()) <= 1
    assert torch.isfinite(inverted.grad).all()
    with pytest.raises(ValueError, match='1 to 5'):
        structural.ms_ssim_loss(fused, thermal, visible, scales=6)
    with pytest.raises(ImageError, match='7 pixels'):
        structural.ms_ssim_loss(fused, thermal, visible, scales=3)


# --- saliency, illumination


def test_the_target_mask_finds_the_warm_object(pair):
    thermal, _ = pair
    mask = saliency.target_mask(thermal)
    assert float(mask[..., 12:17, 14:16].min()) > 0.9
    assert float(mask[..., :6, :].max()) < 0.1
    assert float(saliency.target_mask(torch.full_like(thermal, 0.7)).max()) == 0


def test_histogram_saliency_is_the_mean_distance_to_all_pixels():
    image = torch.rand(2, 1, 6, 7)
    levels = np.rint(image.numpy() * 255).reshape(2, -1)
    expected = np.abs(levels[:, :, None] - levels[:, None]).mean(2)
    expected /= expected.max(1, keepdims=True)
    np.testing.assert_allclose(
        saliency.histogram_saliency(image).numpy().reshape(2, -1), expected, rtol=1e-4)
    assert float(saliency.histogram_saliency(torch.ones(1, 1, 5, 5)).max()) == 0


def test_saliency_follows_the_source_that_stands_out(pair):
    thermal, visible = pair
    flat = torch.full_like(visible, 0.5)
    weights = saliency.saliency_weights(thermal, flat)
    assert float(weights[..., 12:17, 14:16].min()) > 0.99
    np.testing.assert_allclose(saliency.saliency_weights(flat, flat).numpy(), 0.5)
    assert float(saliency.saliency_intensity(thermal, thermal, flat)) < float(
        saliency.saliency_intensity(flat, thermal, flat))


def test_targets_count_as_much_as_the_background(pair):
    thermal, visible = pair
    mask = torch.zeros_like(thermal)
    mask[..., 9:20, 12:18] = 1
    composed = mask * thermal + (1 - mask) * visible
    assert float(saliency.target_intensity(composed, thermal, visible, mask)) == 0
    lost = float(saliency.target_intensity(composed + 0.1 * mask, thermal, visible, mask))
    other = float(saliency.target_intensity(composed + 0.1 * (1 - mask), thermal, visible, mask))
    assert lost == pytest.approx(0.1)
    assert other == pytest.approx(0.1)
    # no target at all: nothing explodes, the background rules
    none = saliency.target_intensity(visible, thermal, visible, torch.zeros_like(mask))
    assert float(none) == 0


def test_by_day_the_visible_image_leads_by_night_the_thermal_one(pair):
    thermal, _ = pair
    day, night = torch.full_like(thermal, 0.45), torch.full_like(thermal, 0.08)
    assert float(illumination.luma_day_probability(day).min()) > 0.95
    assert float(illumination.luma_day_probability(night).max()) < 0.06
    for visible, leader, other in ((day, day, thermal), (night, thermal, night)):
        assert float(illumination.illumination_intensity(leader, thermal, visible)) < 0.1 * float(
            illumination.illumination_intensity(other, thermal, visible))


def test_illumination_weights_share_one_and_do_not_train_the_classifier(pair):
    thermal, visible = pair
    w_ir, w_vi = illumination.illumination_weights(torch.tensor([3.0, 0.0]),
                                                   torch.tensor([1.0, 0.5]))
    np.testing.assert_allclose(w_ir.flatten(), [0.25, 1], atol=1e-4)
    np.testing.assert_allclose((w_ir + w_vi).flatten(), 1)
    day = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)
    fused = visible.clone().requires_grad_()
    illumination.illumination_intensity(fused, thermal, visible, day).backward()
    assert day.grad is None
    assert fused.grad.abs().sum() > 0


# --- focus, pmgi


def test_the_focus_decision_picks_the_sharp_half():
    rng = np.random.default_rng(0)
    sharp = torch.from_numpy(rng.random((1, 1, 40, 60)))
    blurred = filters.blur(sharp, 2.0)
    left = torch.zeros_like(sharp)
    left[..., :30] = 1
    first, second = (m * sharp + (1 - m) * blurred for m in (left, 1 - left))
    decision = focus.focus_decision(first, second, window=7)
    assert float(decision[..., :24].mean()) > 0.95
    assert float(decision[..., 36:].mean()) < 0.05
    losses = [float(focus.focus_intensity(f, first, second, decision)
                    + focus.focus_gradient(f, first, second, decision))
              for f in (sharp, first, blurred)]
    assert losses[0] < 0.2 * min(losses[1:])
    one = focus.focus_decision(first, second)
    expected = (array((first - filters.blur(first, 1.0)).abs())
                > array((second - filters.blur(second, 1.0)).abs()))
    np.testing.assert_array_equal(array(one), expected)


def test_proportions_of_intensity_set_the_best_grey_level():
    thermal, visible = torch.full((1, 1, 8, 8), 0.8), torch.full((1, 1, 8, 8), 0.2)
    levels = np.linspace(0.1, 0.9, 81)
    losses = [float(pmgi.proportional_loss(
        torch.full_like(thermal, float(x)), thermal, visible, thermal_intensity=2.0,
        visible_intensity=1.0)) for x in levels]
    assert levels[int(np.argmin(losses))] == pytest.approx((2 * 0.8 + 0.2) / 3, abs=0.006)


def test_proportional_loss_is_the_sum_of_its_parts(pair):
    thermal, visible = pair
    fused = torch.maximum(thermal, visible)
    parts = dict.fromkeys(('thermal_intensity', 'visible_intensity', 'thermal_gradient',
                           'visible_gradient'), 0.0)
    expected = {'thermal_intensity': pixel.intensity_of(fused, thermal, 2),
                'visible_intensity': pixel.intensity_of(fused, visible, 2),
                'thermal_gradient': pixel.gradient_of(fused, thermal, 2),
                'visible_gradient': pixel.gradient_of(fused, visible, 2)}
    for name, value in expected.items():
        found = pmgi.proportional_loss(fused, thermal, visible, **{**parts, name: 3.0})
        torch.testing.assert_close(found, 3 * value)
