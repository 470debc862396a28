# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif evaluate` as a user calls it: exit codes, messages, detection with a real model."""

import json
from pathlib import Path

import cv2
import pytest

from ivif_ros.cli.main import main
from ivif_ros.evaluation.records import read_run, read_summary

COMMON = ['--no-register', '--jobs', '1', '--no-report']
DETECTOR = Path(__file__).resolve().parents[3] / 'shared' / 'weights' / (
    'yolo11n_int8_coco_openvino_model')


@pytest.fixture(scope='module')
def scenes(shared_data, tmp_path_factory):
    """Two real pairs with labels, as files of their own."""
    folder = tmp_path_factory.mktemp('scenes')
    source = shared_data / 'roadscene'
    for label in sorted((source / 'labels').iterdir())[:2]:
        for sensor in ('rgb', 'thermal'):
            (folder / sensor).mkdir(exist_ok=True)
            name = f'{label.stem}.jpg'
            (folder / sensor / name).write_bytes((source / sensor / name).read_bytes())
        (folder / 'labels').mkdir(exist_ok=True)
        (folder / 'labels' / label.name).write_text(label.read_text())
    return folder


def evaluate(folder, out, *options):
    return main(['evaluate', str(folder), '--out', str(out), '--methods', 'average', *COMMON,
                 *options])


def test_limits_decide_the_exit_code(scenes, tmp_path, capsys):
    out = tmp_path / 'out'
    assert evaluate(scenes, out, '--fail-if', 'fused.VIF<0.01') == 0
    assert 'passed: fused.VIF<0.01 (average.VIF is ' in capsys.readouterr().out
    assert evaluate(scenes, out, '--fail-if', 'average.VIF<0.01', '--fail-if', 'fused.SD>1') == 3
    shown = capsys.readouterr().out
    assert '1 of 1 were finished before' in shown
    assert 'FAILED: fused.SD>1 (average.SD is ' in shown
    assert read_run(out).thresholds == {'average.VIF<0.01': True, 'fused.SD>1': False}


@pytest.mark.parametrize(('options', 'words'), [
    (['--fail-if', 'fused.WIF<1'], "did you mean 'VIF'"),
    (['--methods', 'avrage'], "did you mean 'average'"),
    (['--every', '0'], '--every is 0'), (['--jobs', '0'], '--jobs is 0'),
    (['--detect', '--set', 'detection.weights='], '--detect needs a model'),
    (['--labels', '.'], 'name a detector'),
    (['--truth', '/nowhere.json'], 'is not there')])
def test_what_is_wrong_is_one_line(scenes, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(scenes / 'labels')
    assert evaluate(scenes, tmp_path / 'out', *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_a_damaged_pair_is_exit_code_one(scenes, tmp_path, capsys):
    folder = tmp_path / 'pairs'
    for sensor in ('rgb', 'thermal'):
        (folder / sensor).mkdir(parents=True)
        for file in (scenes / sensor).iterdir():
            (folder / sensor / file.name).write_bytes(file.read_bytes())
    next((folder / 'thermal').iterdir()).write_bytes(b'')
    assert evaluate(folder, tmp_path / 'out') == 1
    assert read_summary(tmp_path / 'out').methods['average'].failed == 1


def test_a_model_finds_objects_in_all_three_images(scenes, tmp_path, capsys):
    pytest.importorskip('ultralytics')
    pytest.importorskip('openvino')
    if not DETECTOR.is_dir():
        pytest.skip(f'no detector at {DETECTOR}')
    out = tmp_path / 'out'
    assert evaluate(scenes, out, '--labels', str(scenes / 'labels'), '--detect', str(DETECTOR)) == 0
    found = read_summary(out).detection['average']
    assert set(found) == {'rgb', 'thermal', 'fused'}
    assert found['rgb']['objects'] == sum(
        len(file.read_text().splitlines()) for file in (scenes / 'labels').iterdir())
    assert found['rgb']['AP50'] > 0.1
    assert set(found['fused']['per_class']) <= {'person', 'bicycle', 'car'}
    records = [json.loads(line) for line in (out / 'results.jsonl').read_text().splitlines()]
    assert all(record['detections']['rgb'] >= 0 for record in records)
    assert all(record['latency_ms']['detection'] > 0 for record in records)
    assert 'mAP50-95' in capsys.readouterr().out
    base = next(record['frames'] for record in records)
    with_boxes = cv2.imread(str(out / f'{base}_registered.webp'))
    assert (with_boxes.max(axis=2) != with_boxes.min(axis=2)).any()  # coloured boxes on grey


def test_labels_that_match_nothing(scenes, tmp_path, capsys):
    labels = tmp_path / 'labels'
    labels.mkdir()
    (labels / 'elsewhere.txt').write_text('0 0.5 0.5 1 1\n')
    assert evaluate(scenes, tmp_path / 'out', '--labels', str(labels), '--detect', 'x.onnx') == 2
    assert 'elsewhere' in capsys.readouterr().err


def test_quick_and_given_parameters_are_those_of_the_run(scenes, tmp_path):
    assert evaluate(scenes, tmp_path / 'out', '--quick', '--set', 'registration.period_ms=100',
                    '--set', 'fusion.emphasis=0.6') == 0
    parameters = read_run(tmp_path / 'out').parameters
    assert parameters['fusion.steadiness'] == 0
    assert parameters['registration.period_ms'] == 100
    assert parameters['fusion.emphasis'] == 0.6
    assert parameters['registration.mode'] == 'none'


def test_the_workers_of_a_dask_scheduler_do_it(scenes, tmp_path):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False,
                                  dashboard_address=None) as cluster:
        assert evaluate(scenes, tmp_path / 'out', '--dask', cluster.scheduler_address) == 0
    assert read_run(tmp_path / 'out').jobs >= 1
    assert read_summary(tmp_path / 'out').methods['average'].pairs == 2


def test_no_scheduler_is_one_line(scenes, tmp_path, capsys):
    pytest.importorskip('distributed')
    assert evaluate(scenes, tmp_path / 'out', '--dask', 'nonsense://nowhere:1') == 2
    assert 'no Dask scheduler' in capsys.readouterr().err
