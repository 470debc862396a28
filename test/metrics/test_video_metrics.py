# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flicker of fused video against plain loops and against cases whose answer is known."""

import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.metrics.video import BLOCK, RIDGE, STILL_LEVELS, WINDOW, FlickerMeter
from ivif_ros.parameters import FusionParameters

REPOSITORY = Path(__file__).resolve().parents[2]


def measure(fused, thermal, rgb):
    meter = FlickerMeter()
    for images in zip(fused, thermal, rgb, strict=True):
        meter.add(*(np.clip(np.round(image), 0, 255).astype(np.uint8) for image in images))
    return meter.result()


def still_video(frames, shape=(64, 80), seed=0, wobble=1.0):
    """A textured picture whose brightness wobbles as a whole."""
    rng = np.random.default_rng(seed)
    picture = rng.uniform(60, 180, shape)
    return [picture + level for level in rng.normal(0, wobble, frames)]


def expected(fused, thermal, rgb):
    """The definition in the docstring of the module, one block and one frame at a time."""
    count, (height, width) = len(fused), fused[0].shape
    rows, columns = height // BLOCK, width // BLOCK
    b, c = {}, {}
    for name, video in (('f', fused), ('v', rgb), ('t', thermal)):
        for n in range(count):
            for i in range(rows):
                for j in range(columns):
                    block = video[n][i * BLOCK:(i + 1) * BLOCK, j * BLOCK:(j + 1) * BLOCK]
                    b[name, n, i, j] = float(np.mean(block.astype(float)))
                    c[name, n, i, j] = float(np.std(block.astype(float)))
    places = [(i, j) for i in range(rows) for j in range(columns)]

    def change(x, name, n, place):
        return x[(name, n + 1, *place)] - x[(name, n, *place)]

    still = set()
    for n in range(count - 1):
        for place in places:
            ok = True
            for name in 'vt':
                whole = np.median([change(b, name, n, p) for p in places])
                ok &= abs(change(b, name, n, place) - whole) < STILL_LEVELS
            if ok:
                still.add((n, place))
    means = {name: np.mean([abs(change(x, name[1], n, p)) for n, p in still])
             for x, names in ((b, ('bf', 'bv', 'bt')), (c, ('cf', 'cv', 'ct'))) for name in names}
    rest = []
    pieces = max(1, round((count - 1) / WINDOW))
    for piece in np.array_split(range(count - 1), pieces):
        for place in places:
            inside = [n for n in piece if (n, place) in still]
            if not inside:
                continue
            inputs = np.array([[change(b, name, n, place) for name in 'vt'] for n in inside])
            goal = np.array([change(b, 'f', n, place) for n in inside])
            held = np.vstack([inputs, np.eye(2) * math.sqrt(RIDGE * len(piece))])
            fit = np.linalg.lstsq(held, np.append(goal, [0, 0]), rcond=None)[0]
            rest += list(goal - inputs @ fit)
    own = sum(change(b, 'f', n, p) ** 2 for n, p in still)
    return {'fused': means['bf'], 'rgb': means['bv'], 'thermal': means['bt'],
            'ratio': means['bf'] / max(means['bv'], means['bt']),
            'unexplained': np.mean(np.abs(rest)), 'consistency': 1 - np.sum(np.square(rest)) / own,
            'contrast_fused': means['cf'],
            'contrast_ratio': means['cf'] / max(means['cv'], means['ct']),
            'still': len(still) / (count - 1) / len(places), 'pairs': count - 1}


def test_figures_follow_the_definition():
    rng = np.random.default_rng(1)
    frames, shape = 50, (55, 70)  # with a rest that fills no block
    rgb = np.array(still_video(frames, shape, 2)) + rng.normal(0, 3, (frames, *shape))
    thermal = np.array(still_video(frames, shape, 3)) + rng.normal(0, 6, (frames, *shape))
    for n in range(10, 40):  # something warm moves
        thermal[n, 20:36, n:n + 16] += 50
    fused = 0.6 * rgb + 0.5 * thermal - 20 + rng.normal(0, 0.6, (frames, 1, 1))
    fused, rgb, thermal = (np.clip(np.round(x), 0, 255).astype(np.uint8)
                           for x in (fused, rgb, thermal))
    result = measure(fused, thermal, rgb)
    wanted = expected(fused, thermal, rgb)
    assert 0.5 < wanted['still'] < 0.99
    assert 0.3 < wanted['consistency'] < 0.9
    for name, value in wanted.items():
        assert getattr(result, name) == pytest.approx(value, rel=1e-6), name


def test_a_fixed_mix_flickers_less_than_its_inputs_and_is_explained():
    rgb, thermal = still_video(60, seed=4, wobble=4), still_video(60, seed=5, wobble=3)
    fused = [0.7 * v + 0.3 * t for v, t in zip(rgb, thermal, strict=True)]
    result = measure(fused, thermal, rgb)
    assert result.ratio < 1
    assert result.consistency > 0.99
    assert result.unexplained < 0.1
    assert result.still == 1


def test_decisions_that_change_from_frame_to_frame_are_not_explained():
    rgb, thermal = still_video(60, seed=6, wobble=1), still_video(60, seed=7, wobble=1)
    shares = np.random.default_rng(8).uniform(0.3, 0.7, 60)
    fused = [v + 30 + w * (t - v - 30)
             for v, t, w in zip(rgb, thermal, shares, strict=True)]
    result = measure(fused, thermal, rgb)
    assert result.ratio > 1.5
    assert result.consistency < 0.5
    assert result.unexplained > 1


def test_flicker_of_local_contrast_is_seen():
    picture = still_video(1)[0]
    fused = [128 + (picture - 128) * gain
             for gain in np.random.default_rng(9).uniform(0.7, 1.3, 30)]
    rgb, thermal = still_video(30, seed=10), still_video(30, seed=11)
    result = measure(fused, thermal, rgb)
    assert result.contrast_fused > 3
    assert result.contrast_ratio > 10


def test_exposure_of_the_inputs_is_no_motion():
    rgb, thermal = still_video(20, seed=12, wobble=20), still_video(20, seed=13, wobble=0)
    result = measure(rgb, thermal, rgb)
    assert result.still > 0.9
    assert result.rgb > 10
    assert result.ratio == pytest.approx(1)


def test_video_of_one_picture_does_not_flicker():
    picture = still_video(1)[0]
    result = measure([picture] * 3, [picture] * 3, [picture] * 3)
    assert (result.fused, result.ratio, result.consistency, result.unexplained) == (0, 1, 1, 0)


def test_video_in_motion_has_no_still_block():
    noise = np.random.default_rng(14).uniform(0, 1, (5, 4, 5)) * 200
    moving = [np.kron(x, np.ones((BLOCK, BLOCK))) for x in noise]
    result = measure(moving, moving[::-1], moving)
    assert result.still < 0.05
    still = [np.zeros((BLOCK, 2 * BLOCK)), np.kron([[0, 200]], np.ones((BLOCK, BLOCK)))]
    nothing = measure(still, still, still)
    assert nothing.still == 0
    assert all(math.isnan(x) for x in (nothing.fused, nothing.ratio, nothing.unexplained,
                                       nothing.consistency, nothing.contrast_ratio))


def test_bad_input_is_named():
    good = np.zeros((32, 48), np.uint8)
    meter = FlickerMeter()
    with pytest.raises(ImageError, match='thermal image is'):
        meter.add(good, good[:, 1:], good)
    with pytest.raises(ImageError, match='RGB image is'):
        meter.add(good, good, cv2.merge([good] * 3))
    with pytest.raises(ImageError, match='at least 16'):
        meter.add(good[:5], good[:5], good[:5])
    meter.add(good, good, good)
    with pytest.raises(ImageError, match='at least two'):
        meter.result()
    with pytest.raises(ImageError, match='size of the images changed'):
        meter.add(good.T, good.T, good.T)


def test_benchmark_prints_and_writes_its_rows(tmp_path):
    for kind, seed in (('rgb', 15), ('thermal', 16)):
        (tmp_path / kind).mkdir()
        writer = cv2.VideoWriter(str(tmp_path / kind / 'a.avi'),
                                 cv2.VideoWriter_fourcc(*'MJPG'), 30, (80, 64))
        for image in still_video(12, seed=seed, wobble=5):
            writer.write(cv2.merge([np.clip(image, 0, 255).astype(np.uint8)] * 3))
        writer.release()
    command = [sys.executable, str(REPOSITORY / 'benchmarks' / 'flicker.py'), '--data',
               str(tmp_path), '--methods', 'average,maximum', '--every', '2', '--frames', '5',
               '--json', str(tmp_path / 'rows.json'), '--device', 'cpu']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'average' in done.stdout
    rows = json.loads((tmp_path / 'rows.json').read_text())['rows']
    steadiness = FusionParameters().steadiness
    assert [(row['video'], row['method'], row['steadiness'], row['pairs']) for row in rows] == [
        ('a', method, amount, 4) for method in ('average', 'maximum') for amount in (0, steadiness)]
    assert all(row['fused'] > 0 and row['rgb'] > 0 for row in rows)
    unknown = [*command, '--methods', 'maximun']
    failed = subprocess.run(unknown, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "did you mean 'maximum'" in failed.stderr
    command[command.index(str(tmp_path))] = str(tmp_path / 'rgb')
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert 'no videos' in refused.stderr
