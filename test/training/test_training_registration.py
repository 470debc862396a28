# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of the registration network: the command, its weights files, and its validation."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import training_toy

from ivif_ros.errors import WeightsError
from ivif_ros.fusion.weights import shipped_path
from ivif_ros.registration import weights
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.network import RegistrationNetwork
from ivif_ros.training import registration, validate_registration
from ivif_ros.training.checkpoint import load_state
from ivif_ros.training.data import misaligned
from ivif_ros.training.data.pairs import Pair
from ivif_ros.training.data.rigs import RigPair
from ivif_ros.training.recipe_registration import RegistrationRecipe
from ivif_ros.training.validate_registration import (
    RegistrationValidation,
    deformed,
    rank_correlation,
    recorded,
)
from ivif_ros.types import Deformation

SMALL = {'narrow': 4, 'middle': 4, 'wide': 8, 'deep': 4, 'head': 8}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return training_toy.make_data(tmp_path_factory.mktemp('data'), 3, 2)


@pytest.fixture
def call(capsys, monkeypatch):
    """Call the command; returns exit status, stdout and stderr."""
    # Rendering streets takes seconds, and none of these tests is about them.
    monkeypatch.setattr(misaligned, 'simulated_rigs', lambda streets, split: ())
    threads = torch.get_num_threads(), cv2.getNumThreads()

    def run(*words):
        status = registration.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    yield run
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def tiny(data, out, *words):
    config = [f'config.{name}={value}' for name, value in SMALL.items()]
    settings = [*config, 'validate_every=2', 'validation_pairs=1', 'warmup=1', 'ema=0.9']
    return ('--data', data, '--out', out, '--device', 'cpu', '--threads', 1, '--steps', 3,
            '--batch-size', 2, '--log-every', 1,
            *(word for setting in settings for word in ('--set', setting)), *words)


def learned(folder):
    state = load_state(folder / 'last.pt')
    return {**state['objective'], **{f'mean.{k}': v for k, v in state['average'].items()},
            **{f'adam.{i}.{k}': v for i, one in state['optimizers'][0]['state'].items()
               for k, v in one.items()}}


def rows(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


# --- the command


def test_a_run_in_parts_equals_one_in_one_go_and_ships_its_weights(
        call, data, tmp_path, monkeypatch):
    shipped = tmp_path / 'package' / 'weights' / 'registration.pt'
    monkeypatch.setattr(weights, 'PATH', shipped)
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    status, said, told = call(*tiny(data, whole, '--ship'))
    assert status == 0, told
    assert 'registration: 3 of 3 steps, best score' in said
    assert 'step 2: score' in told
    assert 'below_2px' in told
    status, said, _ = call(*tiny(data, parts, '--minutes', 1e-9))
    assert status == 0
    assert '1 of 3 steps' in said
    assert 'go on with: python -m ivif_ros.training.registration' in said
    torch.rand(5)   # what is drawn between the parts must not matter
    assert call(*tiny(data, parts, '--resume'))[0] == 0
    one, other = learned(whole), learned(parts)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)

    assert shipped.read_bytes() == (whole / 'best.pt').read_bytes()
    network = weights.load_network()
    assert not network.training
    assert network.config == SMALL
    verdicts = rows(whole / 'validation.csv')
    assert [row['step'] for row in verdicts] == ['2', '3']
    best = max(verdicts, key=lambda row: float(row['score']))
    made = weights.read_weights(shipped)['training']
    assert made['step'] == int(best['step'])
    assert made['metrics']['mean'] == pytest.approx(float(best['mean']), rel=1e-4)
    assert float(best['score']) == pytest.approx(-float(best['limited']), rel=1e-4)
    assert made['settings']['config'] == SMALL
    described = json.loads((whole / 'run.json').read_text())
    assert described['command'] == made['command']
    assert '--ship' not in described['command']
    assert not {'network', 'crop'} & described['settings'].keys()
    assert [row['step'] for row in rows(whole / 'log.csv')] == ['1', '2', '3']
    assert cv2.imread(str(whole / 'validation.png')).shape == (400, 960, 3)


def test_weights_that_are_too_large_are_not_shipped(call, data, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, 'PATH', tmp_path / 'package' / 'registration.pt')
    monkeypatch.setattr(RegistrationRecipe, 'SHIP_LIMIT_BYTES', 1000)
    status, _, err = call(*tiny(data, tmp_path / 'run', '--ship'))
    assert status == 2
    assert 'the package takes at most' in err
    assert not (tmp_path / 'package').exists()


def test_the_package_takes_four_megabytes():
    assert RegistrationRecipe.SHIP_LIMIT_BYTES == 4_000_000


def test_weights_of_something_else_are_no_start(call, data, tmp_path):
    status, _, err = call(*tiny(data, tmp_path / 'a', '--init', shipped_path('mini')))
    assert status == 2
    assert "belongs to network 'mini', expected 'registration'" in err
    status, _, err = call(*tiny(data, tmp_path / 'b', '--init', tmp_path / 'none.pt'))
    assert status == 2
    assert "none.pt' does not exist" in err


@pytest.mark.parametrize(('words', 'message'), [
    ((), '--data DIR is missing'),
    (('--data', 'x'), '--out DIR is missing'),
    (('--data', '/not/there', '--out', 'x'), "'/not/there' is not a folder"),
    (('--data', '.', '--out', 'x'), 'no folders rgb/ and thermal/'),
    (('--data', '.', '--out', 'x', '--resume'), 'no run to resume'),
    (('--data', '.', '--out', 'x', '--set', 'crop=64'), "unknown setting 'crop'"),
    (('--data', '.', '--out', 'x', '--set', 'config.colour=3'), 'does not take the configuration'),
])
def test_what_is_refused(call, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(*words)
    assert status == 2
    assert message in err
    assert err.startswith('training: error: ')
    assert err.count('\n') == 1


def test_importing_the_command_is_light():
    script = ('import sys, ivif_ros.training.registration; '
              'assert not {"torch", "cv2", "numpy"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', script], check=True)


# --- weights files


@pytest.fixture
def file(tmp_path):
    weights.save_network(tmp_path / 'some.pt', RegistrationNetwork(**SMALL), {'steps': 7})
    return tmp_path / 'some.pt'


def test_weights_come_back(tmp_path):
    torch.manual_seed(4)
    network = RegistrationNetwork(**SMALL)
    weights.save_network(tmp_path / 'x.pt', network, {'steps': 7})
    loaded = weights.load_network(tmp_path / 'x.pt')
    assert all(torch.equal(value, loaded.state_dict()[name])
               for name, value in network.state_dict().items())
    assert weights.read_weights(tmp_path / 'x.pt')['training'] == {'steps': 7}


def test_damaged_weights_are_named(file):
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(WeightsError, match=r"some\.pt' is damaged.*ivif_ros\.training\.regis"):
        weights.load_network(file)


@pytest.mark.parametrize(('change', 'message'), [
    ({'network': 'mini'}, "belongs to network 'mini', expected 'registration'"),
    ({'format': 2}, 'is not a weights file of ivif_ros'),
    ({'state': {}}, "does not fit network 'registration'"),
    ({'config': {'colour': 1}}, 'a configuration that this version does not know'),
])
def test_weights_of_another_kind_are_named(file, change, message):
    torch.save({**torch.load(file, weights_only=True), **change}, file)
    with pytest.raises(WeightsError, match=message):
        weights.load_network(file)


# --- validation


def smooth(shape, seed):
    noise = np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 8), None, 0, 255, cv2.NORM_MINMAX)
    return image.astype(np.uint8)


def test_the_truth_of_a_deformed_pair_finds_the_same_content():
    image = smooth((240, 320), 1)
    pair = deformed(Pair(image, image), np.random.default_rng(5))
    assert 600 < len(pair.points) <= 1200
    here, there = (cv2.remap(one, points.astype(np.float32)[None], None, cv2.INTER_LINEAR)
                   .astype(float) for one, points in ((image, pair.points),
                                                      (pair.thermal, pair.truth)))
    unmoved = cv2.remap(pair.thermal, pair.points.astype(np.float32)[None], None,
                        cv2.INTER_LINEAR).astype(float)
    assert np.median(np.abs(here - there)) < 2
    assert np.median(np.abs(here - unmoved)) > 6
    # Pixels of an image 640 wide are half as large as those of this one.
    apart = np.linalg.norm(pair.points - pair.truth, axis=1).mean()
    assert pair.error(pair.guess) == pytest.approx(2 * apart, rel=0.25)


def test_the_error_of_a_recorded_pair_is_in_pixels_of_an_rgb_image_640_wide():
    homography = np.array([[0.5, 0, 10], [0, 0.5, 20], [0, 0, 1]])
    pair = recorded(RigPair(np.zeros((240, 320), np.uint8), np.zeros((200, 200), np.uint8),
                            homography))
    assert pair.error(Deformation((320, 240), (200, 200), homography)) < 1e-9
    moved = homography.copy()
    moved[0, 2] += 3    # 3 thermal pixels: 6 of the RGB image, 12 of one twice as wide
    assert pair.error(Deformation((320, 240), (200, 200), moved)) == pytest.approx(12, rel=1e-3)
    assert (pair.truth <= 199).all()


def test_validation_measures_what_the_estimator_says(data, monkeypatch):
    seen = []

    class Fixed:
        """Leaves every first guess, and trusts the second pair less."""

        def __init__(self, device, *, network):
            assert not network.training

        def __call__(self, rgb, thermal, initial):
            assert rgb.shape == (*thermal.shape, 3)
            seen.append(initial)
            trust = 1 / len(seen)
            return Estimate(Deformation(initial.rgb_size, initial.thermal_size,
                                        initial.homography, confidence=trust), False, 'test')

    monkeypatch.setattr(validate_registration, 'NetworkEstimator', Fixed)
    network = RegistrationNetwork(**SMALL).train()
    validation = RegistrationValidation(data, (), 5)
    assert len(validation) == 2
    metrics = validation.judge(network, torch.device('cpu')).metrics
    assert network.training
    assert len(seen) == 2
    assert metrics['mean'] == metrics['mean_before'] > 2
    assert metrics['median'] == metrics['median_before']
    assert metrics['limited'] <= min(metrics['mean'], 20)
    assert (metrics['better'], metrics['accepted'], metrics['below_2px']) == (0, 0, 0)
    assert abs(metrics['trust']) == pytest.approx(1)
    again = RegistrationValidation(data, (), 5).judge(network, torch.device('cpu')).metrics
    assert again['mean_before'] == metrics['mean_before']
    assert set(validation.figures) <= metrics.keys()


def test_rank_correlation_by_hand():
    assert rank_correlation(np.array([1.0, 5, 9]), np.array([0.1, 0.2, 70])) == pytest.approx(1)
    assert rank_correlation(np.array([3.0, 2, 1]), np.array([1.0, 2, 3])) == pytest.approx(-1)
    # Ranks 1.5 1.5 3 and 1 2 3: covariance 0.75 * 2, deviations sqrt(1.5) and sqrt(2).
    assert rank_correlation(np.array([4.0, 4, 8]), np.array([1.0, 2, 3])) == pytest.approx(
        1.5 / np.sqrt(1.5 * 2))
    assert rank_correlation(np.array([4.0, 4, 4]), np.array([1.0, 2, 3])) == 0
