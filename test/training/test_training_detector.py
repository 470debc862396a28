# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Our detector: network, files, what it learns, and the command that trains it."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_data import write_dataset

from ivif_ros.detection import load_detector
from ivif_ros.errors import MissingDependencyError, ParameterError, SourceError, WeightsError
from ivif_ros.metrics.detection import overlap
from ivif_ros.parameters import DetectionParameters
from ivif_ros.training import detector
from ivif_ros.training.checkpoint import save_state
from ivif_ros.training.data.detection import DetectionData, make_detection_loader
from ivif_ros.training.data.labelled import CLASSES, LabelledPairs
from ivif_ros.training.recipe_detection import in_all_situations
from ivif_ros.training.recipes.detector import RECIPE

ultralytics = pytest.importorskip('ultralytics')
# ruff: noqa: E402
from ivif_ros.training import blend
from ivif_ros.training.detection_network import (
    build_network,
    export_onnx,
    find_objects,
    layout,
    read_network,
    save_network,
    start_from,
)
from ivif_ros.training.objectives.detection import DetectionObjective
from ivif_ros.training.validate_detection import DetectionValidation

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ['--set', 'config.width=8', '--crop', '96', '--batch-size', '2', '--set',
         'data.simulated=0', '--threads', '1', '--set', 'warmup=0']


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / 'mine', [f'{i:02}' for i in range(12)])
    return tmp_path / 'mine'


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'small.pt'
    save_network(path, build_network(width=8), {'command': 'train it', 'seed': 3})
    return path


# Network and files

def test_the_network_fits_into_the_package_and_finds_our_classes(tmp_path):
    network = build_network()
    save_network(tmp_path / 'a.pt', network, {})
    assert (tmp_path / 'a.pt').stat().st_size < 8e6
    # ONNX holds float32.
    assert 4 * sum(weight.numel() for weight in network.parameters()) < 8e6
    assert layout()['nc'] == len(CLASSES) == 3


def test_a_file_is_read_as_it_was_written(weights):
    network, training = read_network(weights)
    assert training == {'command': 'train it', 'seed': 3}
    torch.manual_seed(0)
    same = build_network(width=8)
    for new, old in zip(network.parameters(), same.parameters(), strict=True):
        assert new.dtype == torch.float32
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-4)
    other = build_network(width=8)
    start_from(other, weights)
    for new, old in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.equal(new, old)


def test_the_node_loads_the_file_and_finds_what_training_finds(weights, folder):
    found = load_detector(DetectionParameters(weights=str(weights), confidence=0.002), 'cpu')
    assert tuple(found.names.values()) == CLASSES
    image = LabelledPairs('mine', folder)[0].visible
    network, _ = read_network(weights)
    theirs, ours = found.detect(image), find_objects(network.eval(), [image], confidence=0.002)[0]
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
    assert overlap(ours.boxes[:1], theirs.boxes).max() > 0.97


def test_the_onnx_file_finds_the_same(weights, tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    assert detector.main(['--init', str(weights), '--onnx', str(tmp_path / 'out.onnx')]) == 0
    assert not weights.with_suffix('.onnx').exists()
    said = {item.key: item.value for item in onnx.load(str(tmp_path / 'out.onnx')).metadata_props}
    assert said['author'] == 'ivif_ros contributors'
    assert 'YOLOX' in said['license']
    assert json.loads(said['training']) == {'command': 'train it', 'seed': 3}
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    tables = []
    for path in (weights, tmp_path / 'out.onnx'):
        one = load_detector(DetectionParameters(weights=str(path), confidence=0.001), 'cpu')
        tables.append(one.detect(image))
        assert tuple(one.names.values()) == CLASSES
    assert len(tables[0]) == len(tables[1]) > 0
    np.testing.assert_allclose(tables[0].scores, tables[1].scores, atol=2e-3)


def test_weights_of_another_class_set_are_refused(tmp_path):
    network = build_network(width=8)
    network.names = {0: 'cat', 1: 'dog', 2: 'cow'}
    save_network(tmp_path / 'pets.pt', network, {})
    with pytest.raises(WeightsError, match='find cat, dog, cow, expected person, bicycle, car'):
        read_network(tmp_path / 'pets.pt')


def test_files_that_are_no_detector_are_refused(tmp_path, weights):
    with pytest.raises(WeightsError, match='do not exist'):
        read_network(tmp_path / 'nothing.pt')
    (tmp_path / 'noise.pt').write_bytes(b'noise' * 100)
    with pytest.raises(WeightsError, match=r'noise\.pt'):
        read_network(tmp_path / 'noise.pt')
    with pytest.raises(WeightsError, match='another layout'):
        start_from(build_network(width=16), weights)
    with pytest.raises(WeightsError, match='do not exist'):
        export_onnx(tmp_path / 'nothing.pt', tmp_path / 'a.onnx')


def test_missing_ultralytics_is_named_with_the_command_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'ultralytics']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'ultralytics', None)
    with pytest.raises(MissingDependencyError, match='pip install ultralytics'):
        build_network(width=8)


# Learning

def test_the_loss_is_that_of_ultralytics(folder):
    torch.manual_seed(1)
    network = build_network(width=8).train()
    batch = next(make_detection_loader(
        DetectionData(simulated=0.0), folder, 'train', 3, 128, 0, 0, 0, 1, 0))
    found = DetectionObjective(network).losses(batch, 0)
    targets = batch.targets
    low, far = targets.boxes[:, :2], targets.boxes[:, 2:]
    terms, _ = network.loss({
        'img': batch.images, 'bboxes': torch.cat([(low + far) / 256, (far - low) / 128], 1),
        'cls': targets.class_ids.float(), 'batch_idx': targets.image_ids.float()})
    torch.testing.assert_close(torch.stack(list(found.values())), terms / 3, rtol=1e-4, atol=1e-4)


def test_it_learns_what_it_is_shown(folder):
    torch.manual_seed(0)
    data = DetectionData(simulated=0.0, smallest=0.24, largest=0.26)
    batch = next(make_detection_loader(data, folder, 'train', 4, 128, 0, 0, 0, 1, 0))
    assert len(batch.targets.boxes) > 3
    objective = DetectionObjective(build_network(width=8)).train()
    optimizer = torch.optim.AdamW(objective.groups()[0], 4e-3)
    losses = []
    for _ in range(24):
        optimizer.zero_grad()
        loss = torch.stack(list(objective.losses(batch, 0).values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
    assert all(not weight.requires_grad for name, weight in objective.network.named_parameters()
               if '.dfl.' in name)


def test_validation_measures_the_three_situations(folder):
    torch.manual_seed(0)
    validation = DetectionValidation(folder, (), None, 2)
    verdict = validation.judge(build_network(width=8), torch.device('cpu'))
    for view in ('fused', 'rgb', 'thermal'):
        assert 0 <= verdict.metrics[f'{view}/AP50'] <= 1
        assert math.isnan(verdict.metrics[f'{view}/AP50/bicycle']), 'there is none'
    assert verdict.picture.ndim == 2
    assert 0 <= in_all_situations(verdict.metrics) <= 1


def test_without_objects_there_is_no_score():
    nothing = {f'{view}/{key}': float('nan') for view in ('fused', 'rgb', 'thermal')
               for key in ('AP50', 'mAP50-95')}
    assert in_all_situations(nothing) == -math.inf


# Command

def test_a_run_leaves_weights_with_their_provenance_and_goes_on(folder, tmp_path, capsys):
    out = tmp_path / 'run'
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'labels.json').write_text('{"teachers": ["a.pt"]}')
    words = ['--data', str(folder), '--out', str(out), *SMALL, '--set',
             f"data.labels={tmp_path / 'labels'}"]
    assert detector.main([*words, '--steps', '2']) == 0
    assert detector.main([*words, '--steps', '3', '--resume']) == 0
    text = capsys.readouterr().out
    assert '3 of 3 steps' in text
    _, training = read_network(out / 'best.pt')
    assert training['method'] == 'detector'
    assert '--steps' in training['command']
    assert training['settings']['data']['rgb'] == DetectionData().rgb
    assert 'fused/AP50' in training['metrics']
    assert training['pseudo_labels'] == {'teachers': ['a.pt']}
    assert json.loads((out / 'run.json').read_text())['method'] == 'detector'


def test_a_blend_lies_between_start_and_end_and_the_best_is_written(folder, weights, tmp_path,
                                                                    capsys):
    run, path = tmp_path / 'run', tmp_path / 'blend.pt'
    assert detector.main(['--data', str(folder), '--out', str(run), *SMALL, '--steps', '2',
                          '--init', str(weights)]) == 0
    words = [str(run), '--start', str(weights), '--data', str(folder), '--out', str(path)]
    assert blend.main([*words, '--shares', '0.25']) == 0
    assert 'share 0.25 is best' in capsys.readouterr().out
    network, training = read_network(path)
    start, _ = read_network(weights)
    end = blend.learned(blend.load_run(run)[0])
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            expected = 0.75 * start.state_dict()[name] + 0.25 * end[name]
            torch.testing.assert_close(value, expected, rtol=2e-3, atol=1e-3)
    assert training['share'] == 0.25
    assert 'fused/AP50' in training['metrics']
    assert blend.main(words) == 0
    scores = {share: in_all_situations(DetectionValidation(folder, (), None, 20).judge(
        blend.blend(start, read_network(path)[0], share), torch.device('cpu')).metrics)
        for share in (0.0, 1.0)}
    assert scores[1.0] >= scores[0.0] - 1e-3


@pytest.mark.parametrize('datasets', [(), ('msrs',), ('msrs', 'roadscene')])
def test_blends_are_validated_on_what_the_run_was(tmp_path, datasets):
    recipe = RECIPE.changed([f'data.datasets={",".join(datasets)}', 'data.labels=somewhere',
                             'config.width=8', 'validation_pairs=3'])
    save_state(tmp_path / 'last.pt', {'method': 'detector', 'settings': recipe.settings(),
                                      'objective': {}})
    _, found = blend.load_run(tmp_path)
    assert found.data.datasets == datasets
    assert found.data.labels == 'somewhere'
    assert found.config == {'width': 8}
    assert found.validation_pairs == 3


def test_what_cannot_be_blended_is_refused(folder, weights, tmp_path, capsys):
    words = [str(tmp_path), '--start', str(weights), '--data', str(folder)]
    assert blend.main(words) == 2
    assert '--out FILE.pt or --ship' in capsys.readouterr().err
    assert blend.main([*words, '--out', str(tmp_path / 'a.pt')]) == 2
    assert 'has no run' in capsys.readouterr().err
    save_state(tmp_path / 'last.pt', {'method': 'restormer', 'settings': {}, 'objective': {}})
    assert blend.main([*words, '--out', str(tmp_path / 'a.pt')]) == 2
    assert "holds a run of 'restormer'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        blend.main([*words, '--shares', '0.5,2'])
    assert 'expected numbers of 0 to 1' in capsys.readouterr().err


@pytest.mark.parametrize(('setting', 'says'), [
    ('config.height=3', 'does not take the configuration'), ('data.rgbb=0.1', "mean 'rgb'"),
    ('data.labels=/nowhere', 'not a folder'), ('data.cutouts=/nowhere', 'cannot be read'),
    ('data.degradations.haze=2.0', 'data.haze is 2.0')])
def test_settings_that_cannot_be_used_end_with_2_and_a_message(folder, tmp_path, capsys, setting,
                                                               says):
    assert detector.main(['--data', str(folder), '--out', str(tmp_path / 'run'), *SMALL,
                          '--set', setting]) == 2
    assert says in capsys.readouterr().err


def test_errors_have_their_types(folder):
    with pytest.raises(ParameterError, match='batch_size'):
        make_detection_loader(DetectionData(simulated=0.0), folder, 'train', 0, 96, 0, 0, 0, 1, 0)
    with pytest.raises(SourceError, match='not a folder'):
        make_detection_loader(DetectionData(simulated=0.0), folder / 'no', 'train', 1, 96, 0, 0, 0,
                              1, 0)
