# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion metrics against published evaluators, other libraries and hand-computed cases."""

import json
import math

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ImageError
from ivif_ros.metrics import fusion as metrics
from ivif_ros.metrics.catalogue import FUSION, OTHER_CONVENTION

# The evaluators give equal gradients a ratio of the gradient itself instead of 1, which is worth at
# most this much; everything else agrees to the five decimals of the reference.
QABF_TOLERANCE = 5e-4
# The sigmoids of Xydeas and Petrovic stop short of 1 at equal strength and orientation.
BEST_QABF = 0.9994 / (1 + math.exp(-15 * 0.5)) * 0.9879 / (1 + math.exp(-22 * 0.2))


def scene(seed, height=190, width=203, number=3):
    """Grey images with flat parts, edges, texture, noise and saturation."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(number):
        image = np.full((height, width), float(rng.integers(20, 120)))
        image[height // 4:height // 2, width // 5:width // 2] += rng.integers(20, 160)
        image[:, width // 2:] += 30 * np.sin(np.arange(width - width // 2) / rng.uniform(1, 4))
        image[height // 2:] += rng.normal(0, 12, (height - height // 2, width))
        cv2.circle(image, (width // 3, 2 * height // 3), height // 6, 300, -1)
        images.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return images


@pytest.fixture(params=[0, 1])
def images(request):
    return scene(request.param)


@pytest.mark.parametrize('row', ['average', 'maximum', 'thermal'])
def test_agrees_with_published_evaluators(shared_data, row):
    reference = json.loads((shared_data / 'metric_reference.json').read_text())
    compared = 0
    for pair, rows in reference.items():
        folder, stem = pair.split('/')
        rgb_path, thermal_path = (
            next((shared_data / folder / kind).glob(f'{stem}.*')) for kind in ('rgb', 'thermal'))
        # The reference decoded JPEG straight to grey; lossless files go the same way through BGR.
        if rgb_path.suffix == '.jpg':
            visible = cv2.imread(str(rgb_path), cv2.IMREAD_GRAYSCALE)
        else:
            visible = cv2.cvtColor(cv2.imread(str(rgb_path)), cv2.COLOR_BGR2GRAY)
        thermal = cv2.imread(str(thermal_path), cv2.IMREAD_GRAYSCALE)
        mean = np.round((thermal.astype(np.float64) + visible) / 2).astype(np.uint8)
        fused = {'average': mean, 'maximum': np.maximum(thermal, visible), 'thermal': thermal}[row]
        found = metrics.evaluate(fused, thermal, visible, rows[row])
        for name, expected in rows[row].items():
            if expected is None:  # SCD of an input with itself is not defined
                continue
            tolerance = QABF_TOLERANCE if name == 'Qabf' else 6e-6
            assert found[name] == pytest.approx(expected, abs=tolerance), (pair, name)
            compared += 1
    assert compared > 70


def test_figures_of_the_fused_image_agree_with_other_libraries(images):
    measure = pytest.importorskip('skimage.measure')
    fused = images[0]
    x = fused.astype(float)
    assert metrics.entropy(fused) == pytest.approx(measure.shannon_entropy(fused), rel=1e-12)
    assert metrics.standard_deviation(fused) == pytest.approx(np.std(x), rel=1e-12)
    rows, columns = (np.mean(np.diff(x, axis=axis) ** 2) for axis in (0, 1))
    assert metrics.spatial_frequency(fused) == pytest.approx(math.sqrt(rows + columns), rel=1e-12)
    dy, dx = np.gradient(x)
    assert metrics.average_gradient(fused) == pytest.approx(
        np.mean(np.sqrt((dx ** 2 + dy ** 2) / 2)), rel=1e-7)


def test_likeness_to_a_source_agrees_with_scikit_image(images):
    skimage = pytest.importorskip('skimage.metrics')
    fused, source, _ = images
    assert metrics.structural_similarity(fused, source) == pytest.approx(
        skimage.structural_similarity(fused, source, data_range=255), abs=1e-7)
    assert metrics.peak_signal_to_noise_ratio(fused, source) == pytest.approx(
        skimage.peak_signal_noise_ratio(source, fused), rel=1e-12)
    assert metrics.correlation_coefficient(fused, source) == pytest.approx(
        np.corrcoef(fused.ravel(), source.ravel())[0, 1], rel=1e-10)


@pytest.mark.parametrize('shape', [(190, 203), (192, 208), (161, 174)])
def test_multi_scale_similarity_agrees_with_pytorch_msssim(shape):
    library = pytest.importorskip('pytorch_msssim')
    fused, source, _ = scene(2, *shape)
    # In double precision; the figure is computed in single precision, and so are published ones.
    taps = torch.exp(-(torch.arange(11, dtype=torch.float64) - 5) ** 2 / (2 * 1.5 ** 2))
    window = (taps / taps.sum()).view(1, 1, 1, 11)
    for image in (fused, cv2.GaussianBlur(source, (0, 0), 1.0)):
        one, other = (torch.from_numpy(x.astype(np.float64))[None, None] for x in (image, source))
        expected = float(library.ms_ssim(one, other, data_range=255, win=window))
        assert 0.05 < expected < 0.99
        assert metrics.multi_scale_structural_similarity(image, source) == pytest.approx(
            expected, abs=5e-6)


def test_agrees_with_other_libraries_on_real_pairs(shared_data):
    skimage, colour = (pytest.importorskip(f'skimage.{name}') for name in ('metrics', 'color'))
    library = pytest.importorskip('pytorch_msssim')
    for path in sorted((shared_data / 'm3svd_stills' / 'rgb').iterdir())[::18]:
        rgb = cv2.imread(str(path))
        thermal = cv2.imread(str(next((shared_data / 'm3svd_stills' / 'thermal').glob(
            f'{path.stem}.*'))), cv2.IMREAD_GRAYSCALE)
        fused = cv2.addWeighted(rgb, 0.6, cv2.merge([thermal] * 3), 0.4, 0)
        found = metrics.evaluate(fused, thermal, rgb, ['SSIM', 'MS-SSIM', 'PSNR', 'dE'])
        luma, visible = (cv2.cvtColor(x, cv2.COLOR_BGR2GRAY) for x in (fused, rgb))
        sources = thermal, visible
        assert found['SSIM_sum'] == pytest.approx(sum(
            skimage.structural_similarity(luma, x, data_range=255) for x in sources), abs=1e-6)
        error = sum(skimage.mean_squared_error(luma, x) for x in sources) / 2
        assert found['PSNR'] == pytest.approx(10 * math.log10(255 ** 2 / error), rel=1e-10)
        planes = [torch.from_numpy(x)[None, None].double() for x in (luma, *sources)]
        assert found['MS-SSIM_sum'] == pytest.approx(sum(
            float(library.ms_ssim(planes[0], x, data_range=255)) for x in planes[1:]), abs=2e-5)
        one, other = (colour.rgb2lab(x[..., ::-1])[visible >= 40] for x in (fused, rgb))
        assert found['dE'] == pytest.approx(colour.deltaE_cie76(one, other).mean(), rel=1e-4)


def published_fidelity(reference, distorted):
    """VIF in the pixel domain, one window at a time as its authors wrote it down."""
    signal = pytest.importorskip('scipy.signal')
    r, d = reference.astype(np.float64), distorted.astype(np.float64)
    numerator = denominator = 0.0
    for scale in range(1, 5):
        n = 2 ** (4 - scale + 1) + 1
        y, x = np.mgrid[-(n // 2):n // 2 + 1, -(n // 2):n // 2 + 1]
        window = np.exp(-(x * x + y * y) / (2 * (n / 5) ** 2))
        window /= window.sum()

        def mean(image, window=window):
            return signal.fftconvolve(image, window, mode='valid')

        if scale > 1:
            r, d = mean(r)[::2, ::2], mean(d)[::2, ::2]
        mr, md = mean(r), mean(d)
        vr, vd, cov = mean(r * r) - mr * mr, mean(d * d) - md * md, mean(r * d) - mr * md
        for a, b, c in zip(vr.flat, vd.flat, cov.flat, strict=True):
            a, b = max(a, 0.0), max(b, 0.0)
            gain, rest = c / (a + 1e-10), b - c / (a + 1e-10) * c
            if a < 1e-8:
                gain, rest, a = 0.0, b, 0.0
            if b < 1e-8:
                gain, rest = 0.0, 0.0
            if gain < 0:
                gain, rest = 0.0, b
            numerator += math.log10(1 + gain * gain * a / (max(rest, 1e-10) + 2))
            denominator += math.log10(1 + a / 2)
    return numerator / denominator


def test_information_fidelity_agrees_with_its_definition(images):
    fused, source, _ = images
    expected = published_fidelity(source, fused)
    assert 0.02 < expected < 0.9
    assert metrics.visual_information_fidelity(fused, source) == pytest.approx(expected, abs=1e-8)
    louder = np.clip(1.2 * source.astype(float) - 10, 0, 255).astype(np.uint8)
    assert metrics.visual_information_fidelity(louder, source) == pytest.approx(
        published_fidelity(source, louder), abs=1e-7)


def test_edge_preservation_agrees_with_its_definition(images):
    ndimage = pytest.importorskip('scipy.ndimage')

    def gradient(image):
        x = image.astype(float)
        gx, gy = (ndimage.sobel(x, axis=axis, mode='constant') for axis in (1, 0))
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.hypot(gx, gy), np.where(gx == 0, np.pi / 2, np.arctan(-gy / gx))

    gf, af = gradient(images[0])
    kept = total = 0.0
    for source in images[1:]:
        gs, angle = gradient(source)
        for g, h, a, b in zip(gs.flat, gf.flat, angle.flat, af.flat, strict=True):
            if g == 0:
                continue
            strength, orientation = min(g, h) / max(g, h), 1 - abs(a - b) / (math.pi / 2)
            kept += (g * 0.9994 / (1 + math.exp(-15 * (strength - 0.5)))
                     * 0.9879 / (1 + math.exp(-22 * (orientation - 0.8))))
            total += g
    assert metrics.edge_preservation(*images) == pytest.approx(kept / total, abs=1e-6)


def test_differences_correlate_with_the_other_source(images):
    f, a, b = (x.astype(float) for x in images)
    expected = (np.corrcoef(a.ravel(), (f - b).ravel())[0, 1]
                + np.corrcoef(b.ravel(), (f - a).ravel())[0, 1])
    assert metrics.sum_of_correlations_of_differences(*images) == pytest.approx(expected, rel=1e-10)


def test_entropy_of_known_histograms():
    assert metrics.entropy(np.full((4, 4), 9, np.uint8)) == 0
    assert metrics.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8)
    quarter = np.array([[0, 0], [0, 255]], np.uint8)
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert metrics.entropy(quarter) == pytest.approx(expected)


def test_frequency_and_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 30, 3, dtype=np.uint8), (5, 1))
    assert metrics.spatial_frequency(ramp) == pytest.approx(3)
    assert metrics.average_gradient(ramp) == pytest.approx(3 / math.sqrt(2))


def test_mutual_information_counts_shared_levels():
    a = np.array([[0, 0], [1, 1]], np.uint8)
    b = np.array([[0, 1], [0, 1]], np.uint8)
    assert metrics.mutual_information(a, a * 7) == pytest.approx(math.log(2))
    assert metrics.mutual_information(a, b) == pytest.approx(0)


def test_noise_ratio_of_a_known_error():
    one = np.full((4, 5), 100, np.uint8)
    other = one.copy()
    other[0, 0] = 120
    assert metrics.peak_signal_to_noise_ratio(one, other) == pytest.approx(
        10 * math.log10(255 ** 2 / (400 / 20)))
    assert metrics.peak_signal_to_noise_ratio(one, one) == math.inf


def test_an_image_compared_with_itself_is_perfect():
    image = np.random.default_rng(0).integers(0, 256, (170, 180)).astype(np.uint8)
    assert metrics.structural_similarity(image, image) == pytest.approx(1)
    assert metrics.multi_scale_structural_similarity(image, image) == pytest.approx(1)
    assert metrics.visual_information_fidelity(image, image) == pytest.approx(1, abs=1e-6)
    assert metrics.correlation_coefficient(image, image) == pytest.approx(1)
    assert metrics.correlation_coefficient(image, 255 - image) == pytest.approx(-1)
    assert metrics.edge_preservation(image, image, image) == pytest.approx(BEST_QABF)


def test_ssim_against_a_loop():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, 12, 11)).astype(np.uint8)
    values = []
    for y in range(6):
        for x in range(5):
            p, q = (i[y:y + 7, x:x + 7].astype(float).ravel() for i in (a, b))
            cov = np.cov(p, q)
            c1, c2 = 2.55 ** 2, 7.65 ** 2
            values.append((2 * p.mean() * q.mean() + c1) * (2 * cov[0, 1] + c2)
                          / ((p.mean() ** 2 + q.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    assert metrics.structural_similarity(a, b) == pytest.approx(np.mean(values), abs=1e-7)


@pytest.mark.parametrize('level', [0, 77, 128, 255])
def test_flat_images_give_numbers(level):
    flat = np.full((176, 200), level, np.uint8)
    found = metrics.evaluate(flat, flat, flat)
    assert found.pop('PSNR') == found.pop('PSNR_sum') == math.inf
    # Outside of the image is black, so that only a black image has no edge.
    assert found.pop('Qabf') == pytest.approx(1 if level == 0 else BEST_QABF)
    assert found == pytest.approx({
        **dict.fromkeys(('EN', 'SD', 'SF', 'AG', 'MI', 'MI_mean', 'CC', 'CC_sum', 'SCD'), 0),
        'VIF': 1, 'VIF_sum': 2, 'SSIM': 1, 'SSIM_sum': 2, 'MS-SSIM': 1,
        'MS-SSIM_sum': 2}, abs=1e-7)
    ramp = np.tile(np.arange(200, dtype=np.uint8), (176, 1))
    one_flat = metrics.evaluate(ramp, flat, ramp)
    assert one_flat.pop('PSNR_sum') == math.inf
    assert all(math.isfinite(value) for value in one_flat.values())
    # The fused image less the visible one is constant, less the thermal one all visible.
    assert one_flat['SCD'] == pytest.approx(1)
    assert one_flat['CC'] == pytest.approx(0.5)


def test_a_constant_difference_of_large_images_is_no_correlation():
    """Sums that float64 no longer holds exactly must not turn into a correlation."""
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 200, (1300, 1700)).astype(np.uint8) for _ in range(2))
    assert metrics.sum_of_correlations_of_differences(b + np.uint8(9), a, b) == pytest.approx(
        np.corrcoef(b.ravel(), (b + 9.0 - a).ravel())[0, 1], rel=1e-6)


def test_both_conventions_follow_from_the_figures_of_each_source(images):
    fused, thermal, visible = images
    found = metrics.evaluate(fused, thermal, visible)
    single = {
        'MI': metrics.mutual_information, 'CC': metrics.correlation_coefficient,
        'VIF': metrics.visual_information_fidelity, 'SSIM': metrics.structural_similarity,
        'MS-SSIM': metrics.multi_scale_structural_similarity}
    for key, compute in single.items():
        total = compute(fused, thermal) + compute(fused, visible)
        names = (OTHER_CONVENTION[key], key) if key == 'MI' else (key, OTHER_CONVENTION[key])
        assert found[names[0]] == pytest.approx(total / 2, abs=1e-9), key
        assert found[names[1]] == pytest.approx(total, abs=1e-9), key
    errors = [np.mean((fused.astype(float) - source) ** 2) for source in (thermal, visible)]
    assert found['PSNR'] == pytest.approx(10 * math.log10(255 ** 2 / np.mean(errors)))
    assert found['PSNR_sum'] == pytest.approx(
        sum(10 * math.log10(255 ** 2 / error) for error in errors))


def test_a_batch_gives_what_its_pairs_give():
    pairs = [scene(seed, 180, 194) for seed in range(3)]
    colour = [cv2.merge([x, np.roll(x, 3), 255 - x]) for x, *_ in pairs]
    fused = [np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8) for image in colour]
    thermal = [pair[1] for pair in pairs]
    batch = metrics.evaluate_batch(np.stack(fused), np.stack(thermal), np.stack(colour))
    assert list(batch) == [key for name in FUSION for key in (
        (name, OTHER_CONVENTION[name]) if name in OTHER_CONVENTION else (name,))]
    for i in range(3):
        single = metrics.evaluate(fused[i], thermal[i], colour[i])
        assert single == pytest.approx({key: values[i] for key, values in batch.items()}, rel=1e-9)
    for function in (metrics.entropy, metrics.standard_deviation, metrics.spatial_frequency,
                     metrics.average_gradient):
        found = function(np.stack(thermal))
        assert found.shape == (3,)
        assert found == pytest.approx([function(image) for image in thermal])
    grey = np.stack([cv2.cvtColor(x, cv2.COLOR_BGR2GRAY) for x in colour])
    for function in (metrics.mutual_information, metrics.structural_similarity):
        assert function(grey, np.stack(thermal)) == pytest.approx(
            [function(a, b) for a, b in zip(grey, thermal, strict=True)])


def test_colour_images_are_measured_on_their_luma_and_by_their_colours():
    grey, thermal, _ = scene(5)
    rgb = cv2.merge([grey, grey // 2, np.roll(grey, 7)])
    found = metrics.evaluate(rgb, thermal, rgb)
    luma = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    expected = metrics.evaluate(luma, thermal, luma)
    assert found.pop('dE') == 0
    assert found == pytest.approx(expected)
    assert metrics.evaluate(255 - rgb, thermal, rgb, ['dE'])['dE'] > 10
    assert 'dE' not in metrics.evaluate(luma, thermal, rgb)
    assert math.isnan(metrics.evaluate(rgb, thermal, np.zeros_like(rgb), ['dE'])['dE'])


@pytest.mark.filterwarnings('error')
def test_images_of_messages_are_views_that_cannot_be_written():
    rgb = np.random.default_rng(7).integers(0, 256, (176, 2 * 180, 3)).astype(np.uint8)[:, ::2]
    thermal = rgb[..., 1]
    rgb.setflags(write=False)
    thermal.setflags(write=False)
    expected = metrics.evaluate(rgb.copy(), thermal.copy(), rgb.copy())
    assert metrics.evaluate(rgb, thermal, rgb) == pytest.approx(expected)


def test_only_the_figures_that_are_asked_for_are_computed():
    small = np.random.default_rng(3).integers(0, 256, (3, 20, 20)).astype(np.uint8)
    assert list(metrics.evaluate(*small, ['SSIM', 'EN'])) == ['EN', 'SSIM', 'SSIM_sum']
    with pytest.raises(ValueError, match=r"no figure 'vif', expected some of EN, SD"):
        metrics.evaluate(*small, ['vif'])


def test_small_images_have_no_multi_scale_similarity():
    image = scene(6, 100, 120, 1)[0]
    found = metrics.evaluate(image, image, image)
    assert math.isnan(found['MS-SSIM'])
    assert math.isnan(found['MS-SSIM_sum'])
    assert found['VIF'] == pytest.approx(1)
    with pytest.raises(ImageError, match='expected at least 161 pixels'):
        metrics.multi_scale_structural_similarity(image, image)


@pytest.mark.parametrize('bad', [
    np.zeros((80, 81), np.uint8), np.zeros((80, 80, 4), np.uint8), np.zeros((80, 80), np.float32)])
def test_rejects_what_does_not_fit(bad):
    good = np.zeros((80, 80), np.uint8)
    with pytest.raises(ImageError, match=r'(visible|colour) images? (is|are) '):
        metrics.evaluate(good, good, bad)
    with pytest.raises(ImageError, match='thermal image is'):
        metrics.evaluate(good, bad, good)
    with pytest.raises(ImageError, match='source image is'):
        metrics.structural_similarity(good, bad)


def test_rejects_images_smaller_than_the_windows():
    small = np.zeros((40, 40), np.uint8)
    with pytest.raises(ImageError, match='40x40 is too small'):
        metrics.evaluate(small, small, small)
    with pytest.raises(ImageError, match='too small'):
        metrics.entropy(np.zeros((0, 0), np.uint8))
