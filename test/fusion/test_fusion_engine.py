# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine: colour, dtypes, sizes, devices, missing thermal pixels, memory."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ImageError, ParameterError
from ivif_ros.fusion import FusionEngine, fuse
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.engine import recolour
from ivif_ros.parameters import FusionParameters

METHODS = ['average', 'learned_pyramid', 'maximum', 'pyramid']
SIZES = [(1, 1), (8, 8), (1, 640), (33, 2), (479, 641), (480, 640)]


def hue(bgr):
    """Angle in the Cb, Cr plane in radians, and distance from grey, both in float."""
    b, g, r = (bgr[..., i].astype(np.float64) for i in range(3))
    luma = 0.114 * b + 0.587 * g + 0.299 * r
    cb, cr = 0.564 * (b - luma), 0.713 * (r - luma)
    return np.arctan2(cr, cb), np.hypot(cb, cr)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('method', METHODS)
def test_any_size(run, method, size):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    thermal = rng.integers(0, 256, size).astype(np.uint8)
    weight = rng.random(size).astype(np.float32)
    for mask in (None, weight):
        fused = run(rgb, thermal, mask, method)
        assert fused.shape == rgb.shape
        assert fused.dtype == np.uint8


def test_4k(run):
    rgb = np.zeros((2160, 3840, 3), np.uint8)
    rgb[500:700, 1000:1400] = (10, 200, 90)
    thermal = np.zeros((2160, 3840), np.uint8)
    cv2.circle(thermal, (3000, 1500), 60, 255, -1)
    fused = run(rgb, thermal)
    assert fused[1500, 3000].min() > 200
    assert np.abs(fused[600, 1200].astype(int) - (10, 200, 90)).max() <= 12


def test_maximum_and_average_against_numpy(run, scene):
    rgb = cv2.merge([scene.luma] * 3)
    brighter = np.maximum(scene.luma, scene.thermal)
    assert np.abs(run(rgb, scene.thermal, method='maximum')[..., 1].astype(int)
                  - brighter).max() <= 1
    mean = (scene.luma.astype(float) + scene.thermal) / 2
    assert np.abs(run(rgb, scene.thermal, method='average')[..., 1] - mean).max() <= 1


@pytest.mark.parametrize('method', METHODS)
def test_extreme_images_stay_in_range(run, method):
    rng = np.random.default_rng(4)
    images = [np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8),
              (rng.random((64, 64)) > 0.5).astype(np.uint8) * 255]
    for visible in images:
        for thermal in images:
            fused = run(cv2.merge([visible] * 3), thermal, method=method).astype(int)
            # Grey stays grey: wrapped or clipped channels would differ.
            assert np.ptp(fused, axis=2).max() == 0
            if 'pyramid' not in method:  # those look at more than one pixel
                low, high = np.minimum(visible, thermal), np.maximum(visible, thermal)
                assert ((fused[..., 0] >= low.astype(int) - 1)
                        & (fused[..., 0] <= high.astype(int) + 1)).all()


@pytest.mark.parametrize('method', METHODS)
def test_without_thermal_pixels_it_is_the_rgb_image(run, scene, method):
    weight = np.zeros(scene.thermal.shape, np.float32)
    assert (run(scene.rgb, scene.thermal, weight, method) == scene.rgb).all()


@pytest.mark.parametrize('method', METHODS)
def test_rgb_is_exact_outside_and_the_seam_is_smooth(run, scene, method):
    weight = np.zeros(scene.thermal.shape, np.float32)
    weight[40:200, 60:260] = 1
    # Images without edges, so that every step in the result is the seam's.
    warm = np.repeat(np.linspace(100, 240, 240).astype(np.uint8)[:, None], 320, axis=1)
    rgb = np.full_like(scene.rgb, 40)
    fused = run(rgb, np.where(weight > 0, warm, 0).astype(np.uint8), weight, method)
    assert (fused[weight == 0] == rgb[weight == 0]).all()
    steps = max(np.abs(np.diff(fused.astype(int), axis=axis)).max() for axis in (0, 1))
    assert steps < 25
    middle = (slice(90, 150), slice(110, 210))
    assert fused[middle].mean() > 60
    if 'pyramid' not in method:  # the pyramids reckon with the rest of the scene
        assert np.abs(fused[middle].astype(int) - run(rgb, warm, None, method)[middle]).max() <= 1


def test_half_trust_gives_half_the_change(run, scene):
    half = np.full(scene.thermal.shape, 0.5, np.float32)
    full = run(scene.rgb, scene.thermal, None).astype(float)
    mixed = run(scene.rgb, scene.thermal, half).astype(float)
    luma = [cv2.cvtColor(x.astype(np.uint8), cv2.COLOR_BGR2GRAY).astype(float)
            for x in (full, mixed, scene.rgb)]
    assert np.abs((luma[1] - luma[2]) - (luma[0] - luma[2]) / 2).mean() < 1


def test_hue_is_kept(run, real_pair):
    rgb, thermal = real_pair
    fused = run(rgb, thermal)
    before, strength = hue(rgb)
    after, strength_after = hue(fused)
    # Rounding turns the hue of weak colours by itself; strong ones must not turn at all.
    coloured = (strength > 20) & (strength_after > 20)
    if coloured.sum() > 100:
        turn = np.abs(np.angle(np.exp(1j * (after - before))))[coloured]
        assert np.degrees(np.percentile(turn, 99)) < 3
        assert np.degrees(turn.max()) < 6


def test_recolour_reaches_the_luma_inside_the_gamut():
    rng = np.random.default_rng(5)
    planes = torch.from_numpy(rng.integers(0, 256, (3, 50, 60)).astype(np.float32))
    luma = (0.114 * planes[0] + 0.587 * planes[1] + 0.299 * planes[2]) / 255
    goal = torch.from_numpy(rng.random((50, 60)).astype(np.float32))
    out = recolour(planes.clone(), luma, goal, Arena(torch.device('cpu')))
    assert out.min() > -0.01
    assert out.max() < 255.01
    reached = (0.114 * out[0] + 0.587 * out[1] + 0.299 * out[2]) / 255
    assert (reached - goal).abs().max() < 1e-4
    same = recolour(planes.clone(), luma, luma.clone(), Arena(torch.device('cpu')))
    assert (same - planes).abs().max() < 0.01


def test_brighter_pixels_keep_cb_and_cr_exactly_and_darker_ones_their_saturation():
    planes = torch.tensor([[[60.0, 120.0]], [[80.0, 160.0]], [[100.0, 200.0]]])
    luma = (0.114 * planes[0] + 0.587 * planes[1] + 0.299 * planes[2]) / 255
    goal = torch.stack([luma[0, 0] + 0.2, luma[0, 1] / 2])[None]
    out = recolour(planes.clone(), luma, goal, Arena(torch.device('cpu')))
    assert out[:, 0, 0].tolist() == pytest.approx([111, 131, 151], abs=0.01)
    assert out[:, 0, 1].tolist() == pytest.approx([60, 80, 100], abs=0.01)


@pytest.mark.parametrize('method', METHODS)
def test_results_are_not_overwritten_and_inputs_not_changed(run, scene, method):
    weight = np.ones(scene.thermal.shape, np.float32)
    inputs = [scene.rgb.copy(), scene.thermal.copy(), weight.copy()]
    first = run(scene.rgb, scene.thermal, weight, method)
    kept = first.copy()
    run(255 - scene.rgb, 255 - scene.thermal, weight, method)
    assert (first == kept).all()
    assert all((a == b).all() for a, b in zip(
        inputs, (scene.rgb, scene.thermal, weight), strict=True))
    assert (run(scene.rgb, scene.thermal, weight, method) == kept).all()


def test_strided_inputs(device, scene):
    engine = FusionEngine(FusionParameters(device=device))
    rgb = torch.from_numpy(scene.rgb).to(device)
    thermal = torch.from_numpy(scene.thermal).to(device)
    part = engine.fuse(rgb[10:200, 20:300], thermal[10:200, 20:300])
    whole = engine.fuse(rgb[10:200, 20:300].contiguous(), thermal[10:200, 20:300].contiguous())
    assert (part == whole).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('masked', [False, True])
def test_cuda_agrees_with_cpu(scene, masked):
    weight = None
    if masked:
        weight = np.zeros(scene.thermal.shape, np.float32)
        weight[30:, 40:] = 1
    results = []
    for name in ('cpu', 'cuda'):
        engine = FusionEngine(FusionParameters(device=name))
        tensors = [None if x is None else torch.from_numpy(x).to(name)
                   for x in (scene.rgb, scene.thermal, weight)]
        results.append(engine.fuse(*tensors).cpu().numpy().astype(int))
    assert np.abs(results[0] - results[1]).max() <= 2


def test_memory_is_flat(run, scene):
    import resource

    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    weight = np.ones(scene.thermal.shape, np.float32)
    for _ in range(20):
        run(scene.rgb, scene.thermal, weight)
    before = peak_mb()
    for _ in range(300):
        run(scene.rgb, scene.thermal, weight)
    # One 320x240 float plane is 0.3 MB: a single one leaked per pair would make 90 MB.
    assert peak_mb() - before < 10


def test_arena_hands_out_the_same_memory_again():
    arena = Arena(torch.device('cpu'))
    addresses = []
    for _ in range(3):
        arena.restart()
        a = arena.empty(4, 5)
        with arena.scratch():
            b = arena.empty(100)
            b.fill_(1)
        c = arena.empty(50)
        a.zero_()
        c.fill_(2)
        assert a.sum() == 0
        addresses.append((a.data_ptr(), b.data_ptr(), c.data_ptr()))
    assert addresses[1] == addresses[2]
    assert addresses[2][1] == addresses[2][2], 'scratch is used again'
    assert arena.size_bytes == 4 * (32 + 112)
    assert arena.bytes(3, 7).shape == (3, 7)


@pytest.mark.parametrize(('arguments', 'message'), [
    ((np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)), 'RGB image is'),
    ((np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.uint8)), 'RGB image is'),
    ((np.zeros((0, 5, 3), np.uint8), np.zeros((0, 5), np.uint8)), 'at least 1x1'),
    ((np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6), np.uint8)), 'register the thermal image'),
    ((np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint16)), 'thermal image is'),
    ((np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8), np.zeros((4, 5))), 'weight is'),
])
def test_wrong_inputs_are_named(run, arguments, message):
    with pytest.raises(ImageError, match=message):
        run(*arguments)


def test_other_device_is_named():
    engine = FusionEngine(FusionParameters(device='cpu'))
    with pytest.raises(ImageError, match='is on meta, the engine on cpu'):
        engine.fuse(torch.zeros(4, 5, 3, dtype=torch.uint8, device='meta'),
                    torch.zeros(4, 5, dtype=torch.uint8, device='meta'))


def test_device_choice():
    automatic = FusionEngine(FusionParameters(device='auto'))
    if torch.cuda.is_available():
        assert automatic.device.type == 'cuda'
    else:
        assert automatic.device.type == 'cpu'
        assert 'because' in automatic.device_reason
        with pytest.raises(ParameterError, match=r"'cuda' cannot be used because .*auto or cpu"):
            FusionEngine(FusionParameters(device='cuda'))
    for name in ('tpu', 'cuda:', 'cuda:x', 'cpu:0', ''):
        with pytest.raises(ParameterError, match='expected auto, cpu, cuda or cuda:N'):
            FusionEngine(FusionParameters(device=name))


def test_set_method_and_threads(device):
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        engine = FusionEngine(FusionParameters(device=device, threads=1))
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    engine.warm_up((64, 48))
    engine.set_method('maximum')
    with pytest.raises(ParameterError, match='unknown fusion method'):
        engine.set_method('mximum')
    assert engine.method == 'maximum'


def test_arrays_in_five_lines(scene, device):
    fused = fuse(scene.rgb, scene.thermal, device=device)
    assert fused.shape == scene.rgb.shape
    assert (fused == fuse(scene.rgb, scene.thermal, device=device)).all()
    counts = scene.thermal.astype(np.uint16) * 30 + 3000
    warm = fuse(np.zeros_like(scene.rgb), counts, device=device)
    assert warm[scene.people].mean() > warm[~scene.people].mean() + 60
    mirrored = fuse(scene.rgb[:, ::-1], scene.thermal[:, ::-1], device=device)
    assert np.abs(mirrored[:, ::-1].astype(int) - fused).mean() < 1
    with pytest.raises(ImageError, match='register it first'):
        fuse(scene.rgb, scene.thermal[:100])
    with pytest.raises(ImageError, match=r'expected \(H, W, 3\)'):
        fuse(scene.thermal, scene.thermal)


def test_importing_the_package_does_not_load_torch():
    code = ('import sys, ivif_ros.fusion, ivif_ros.fusion.registry as r; r.names(); '
            'print("torch" in sys.modules)')
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == 'False'
