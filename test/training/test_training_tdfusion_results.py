# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is taken out of a run of TDFusion: its detector and pictures of its weights."""

import importlib.util

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.fusion.weights import restore
from ivif_ros.training.checkpoint import save_state
from ivif_ros.training.recipes import load_recipe
from ivif_ros.training.tdfusion_results import main

SETTINGS = ['task=segmentation', 'data.simulated=1.0', 'generator_config.width=8',
            'generator_config.heads=2', 'task_config.width=4']


def make_run(folder, settings):
    """Write the state of a run that has learned nothing but where weights are high."""
    torch.manual_seed(0)
    recipe = load_recipe('tdfusion').changed(settings)
    objective = recipe.objective(recipe.build())
    objective.generator.head.bias.data[:16] = 5.0    # thermal, everywhere
    folder.mkdir()
    save_state(folder / 'last.pt', {
        'method': 'tdfusion', 'seed': 0, 'settings': recipe.settings(), 'done': {'step': 7},
        'objective': objective.state_dict()})
    return objective


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'run'
    make_run(folder, SETTINGS)
    return folder


def write_pair(folder, size=(61, 43)):
    images = [np.full((size[1], size[0]), level, np.uint8) for level in (50, 150)]
    for name, image in zip(('rgb', 'thermal'), images, strict=True):
        cv2.imwrite(str(folder / f'{name}.png'), image)
    return ['--rgb', str(folder / 'rgb.png'), '--thermal', str(folder / 'thermal.png')]


def test_the_picture_shows_what_the_generator_says(run, tmp_path, capsys):
    out = tmp_path / 'weights.png'
    assert main([str(run), '--picture', str(out), *write_pair(tmp_path)]) == 0
    assert str(out) in capsys.readouterr().out
    visible, thermal, weight, asked = np.hsplit(cv2.imread(str(out), cv2.IMREAD_GRAYSCALE), 4)
    assert visible.shape == (43, 61)
    share = 1 / (1 + np.exp(-5))
    assert set(np.unique(visible)) == {50}
    assert set(np.unique(thermal)) == {150}
    assert np.abs(weight - 255 * share).max() <= 1
    assert np.abs(asked - (150 * share + 50 * (1 - share))).max() <= 1


@pytest.mark.skipif(importlib.util.find_spec('ultralytics') is None,
                    reason='ultralytics is not installed')
def test_the_detector_of_a_run_is_a_file_for_the_node(tmp_path):
    from ivif_ros.detection.base import load_detector
    from ivif_ros.parameters import DetectionParameters
    from ivif_ros.training.detection_network import read_network

    objective = make_run(tmp_path / 'run', ['config.width_1=4'])
    learned = objective.task.judge.network.state_dict()
    path = tmp_path / 'detector.pt'
    assert main([str(tmp_path / 'run'), '--detector', str(path)]) == 0
    network, training = read_network(path)
    assert training['step'] == 7
    for name, value in network.state_dict().items():
        assert torch.equal(value, learned[name].half().to(value.dtype)), name
    detector = load_detector(DetectionParameters(weights=str(path)), 'cpu')
    assert set(detector.names.values()) == {'person', 'bicycle', 'car'}


def test_the_fusion_network_of_a_run_is_a_file_for_the_node(tmp_path):
    objective = make_run(tmp_path / 'run', SETTINGS)
    path = tmp_path / 'fusion.pt'
    assert main([str(tmp_path / 'run'), '--fusion', str(path)]) == 0
    network = load_recipe('tdfusion').build()
    restore(network, 'learned_pyramid', path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, objective.network.state_dict()[name]), name


@pytest.mark.parametrize(('words', 'message'), [
    ([], 'nothing is to be written'),
    (['--picture', 'x.png'], 'give --rgb FILE and --thermal FILE'),
    (['--detector', 'x.pt'], "the task of the run is 'segmentation', expected 'detection'"),
])
def test_what_cannot_be_written(run, words, message, capsys):
    assert main([str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_folders_of_other_runs(tmp_path, capsys):
    assert main([str(tmp_path), '--detector', 'x.pt']) == 2
    assert "has no run ('last.pt' is missing)" in capsys.readouterr().err
    save_state(tmp_path / 'last.pt', {'method': 'pmgi', 'settings': {}, 'objective': {}})
    assert main([str(tmp_path), '--detector', 'x.pt']) == 2
    assert "holds a run of 'pmgi', expected one of TDFusion" in capsys.readouterr().err
