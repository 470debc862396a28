# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Deformed pairs for registration: the truth that comes with them is true."""

import cv2
import numpy as np
import pytest
import torch
import training_toy
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.registration.network import COARSE, FINE
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.deformations import NEAR, WIDE
from ivif_ros.training.data.misaligned import SIZE, SampleMaker, Scenes, make_misaligned_loader
from ivif_ros.training.data.rigs import RigPair, recorded_rigs, simulated_rigs

PLAIN = DataConfig(degradation=0.0, simulated_scenes=1)


def textured(seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (size[1] // 8, size[0] // 8), np.uint8)
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)


def maker(pair):
    """Samples of one pair, which is both recorded and simulated, so that it is drawn for sure."""
    scenes = Scenes.__new__(Scenes)
    scenes.draw = lambda rng: pair
    scenes.draw_registered = lambda rng: RigPair(textured(9), textured(9), np.eye(3))
    return SampleMaker(PLAIN, scenes)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2 ** 32 - 1), st.sampled_from([NEAR, WIDE]))
def test_maps_are_inverted(seed, spread):
    rng = np.random.default_rng(seed)
    found = spread.draw(SIZE, rng, zoom=rng.uniform(0.8, 2))
    x, y = np.meshgrid(np.linspace(40, 280, 9), np.linspace(30, 210, 7))
    points = np.stack([x, y], axis=-1).astype(np.float32)
    back = found.inverse(found.at(points))
    assert np.abs(back - points).max() < 0.5
    assert np.median(np.abs(back - points)) < 0.02


@pytest.mark.parametrize('seed', range(6))
def test_the_truth_leads_from_one_image_to_the_other(seed):
    image = textured(1, (640, 480))
    sample = maker(RigPair(image, image, np.eye(3))).sample(np.random.default_rng(seed))
    visible, far, near, target, far_valid, flow, near_valid = sample
    for thermal, place, valid in (
            (near, flow + cells(FINE), near_valid), (far, target, far_valid)):
        seen = cv2.remap(thermal[0], place.transpose(1, 2, 0), None, cv2.INTER_LINEAR)
        own = cv2.remap(visible[0], cells(FINE if thermal is near else COARSE).transpose(1, 2, 0),
                        None, cv2.INTER_LINEAR)
        if valid[0].sum() < 200:
            continue
        # Exposures and polarity differ: only the size of the correlation says something.
        correlation = np.corrcoef(seen[valid[0]], own[valid[0]])[0, 1]
        assert abs(correlation) > 0.7, seed


def cells(cell):
    x = np.arange(SIZE[0] // cell) * cell + (cell - 1) / 2
    y = np.arange(SIZE[1] // cell) * cell + (cell - 1) / 2
    return np.stack(np.meshgrid(x, y)).astype(np.float32)


def test_a_known_rig_is_part_of_the_truth():
    image = textured(2, (640, 480))
    homography = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, 6.0], [0.0, 0.0, 1.0]])
    thermal = cv2.warpPerspective(image, homography, (340, 260), flags=cv2.INTER_AREA)
    wrong = RigPair(image, thermal, homography @ np.array([[1, 0, 25], [0, 1, 0], [0, 0, 1.0]]))
    right = RigPair(image, thermal, homography)
    found = []
    for pair in (right, wrong):
        visible, _, near, *_, flow, valid = maker(pair).sample(np.random.default_rng(3))
        seen = cv2.remap(near[0], (flow + cells(FINE)).transpose(1, 2, 0), None, cv2.INTER_LINEAR)
        own = cv2.remap(visible[0], cells(FINE).transpose(1, 2, 0), None, cv2.INTER_LINEAR)
        found.append(abs(np.corrcoef(seen[valid[0]], own[valid[0]])[0, 1]))
    assert found[0] > 0.7
    assert found[1] < 0.4


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return training_toy.make_data(tmp_path_factory.mktemp('data'), 3, 2)


def test_batches_depend_on_their_number_only(data):
    straight = make_misaligned_loader(PLAIN, data, batch_size=2, seed=5)
    next(straight)
    expected = next(straight)
    again = next(make_misaligned_loader(PLAIN, data, batch_size=2, seed=5, start_step=1))
    other = next(make_misaligned_loader(PLAIN, data, batch_size=2, seed=6, start_step=1))
    for name in ('visible', 'far', 'near', 'far_target', 'near_flow', 'near_valid'):
        assert torch.equal(getattr(expected, name), getattr(again, name)), name
    assert not torch.equal(expected.visible, other.visible)
    assert torch.isfinite(expected.near_flow).all()
    assert torch.isfinite(expected.far_target).all()
    assert expected.visible.min() >= 0
    assert expected.visible.max() <= 1


def test_wrong_arguments_have_a_reason(data):
    with pytest.raises(ParameterError, match='batch_size is 0, expected 1'):
        make_misaligned_loader(PLAIN, data, batch_size=0)
    with pytest.raises(ParameterError, match='rank is 2'):
        make_misaligned_loader(PLAIN, data, rank=2)


def test_simulated_rigs_have_a_truth_near_their_homography():
    pairs = simulated_rigs(1, 'train')
    assert pairs
    for pair in pairs:
        rows, columns = np.mgrid[8:480:16, 8:640:16]
        truth = pair.truth[rows, columns].reshape(-1, 2)
        seen = np.isfinite(truth).all(axis=1)
        points = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
        mapped = cv2.perspectiveTransform(points[None], pair.homography)[0]
        assert np.median(np.linalg.norm(mapped - truth, axis=1)[seen]) < 3


def test_recorded_rigs_without_a_folder_or_with_a_bad_truth(tmp_path):
    assert recorded_rigs(tmp_path, 'train') == []
    folder = tmp_path / 'roadscene_raw'
    folder.mkdir()
    (folder / 'truth.json').write_text('[1, 2')
    with pytest.raises(SourceError, match='expected for each stem'):
        recorded_rigs(tmp_path, 'train')
