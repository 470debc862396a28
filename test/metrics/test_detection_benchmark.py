# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of detection: its parts, and as people run it."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.detection.yolo_text import write_boxes
from ivif_ros.errors import SourceError
from ivif_ros.metrics.detection import DetectionEvaluator
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.detection_network import build_network, save_network

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = (160, 96)


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    """The modules beside the benchmark can be imported."""
    monkeypatch.syspath_prepend(str(REPOSITORY / 'benchmarks'))


@pytest.fixture
def data(tmp_path):
    """A data set with a list, of which training has seen one pair; no bicycles, one by night."""
    seen = next(line for line in (
        REPOSITORY / 'ivif_ros/training/data/splits/roadscene.txt').read_text().splitlines()
        if split_of('roadscene', line) == 'train')
    rng = np.random.default_rng(3)
    folder = tmp_path / 'roadscene'
    for name in ('rgb', 'thermal'):
        (folder / name).mkdir(parents=True)
    for stem, light in ((seen, 200), ('new_a', 200), ('new_b', 20)):
        image = rng.integers(0, light, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
        cv2.imwrite(str(folder / 'rgb' / f'{stem}.png'), image)
        cv2.imwrite(str(folder / 'thermal' / f'{stem}.png'), image[..., 0])
        write_boxes(folder / 'labels' / f'{stem}.txt',
                    np.array([[10, 10, 40, 80], [60, 20, 150, 70]]), np.array([0, 2]), SIZE)
    return folder


def benchmark(*arguments):
    """Run the script in this process, which has loaded PyTorch already."""
    file = REPOSITORY / 'benchmarks' / 'detection.py'
    spec = importlib.util.spec_from_file_location('detection_benchmark', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main([str(word) for word in arguments])


def some_scores(count):
    """Truth and findings of images, some right, some not."""
    rng = np.random.default_rng(5)
    images = []
    for _ in range(count):
        corner = rng.uniform(0, 200, (6, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (6, 2))], 1)
        ids = rng.integers(0, 3, 6)
        table = np.column_stack([boxes + rng.normal(0, 6, boxes.shape), rng.random(6), ids])
        images.append((table[table[:, 4] > 0.3], boxes, ids))
    return images


def test_images_together_give_the_figures_of_one_evaluator():
    from detection_scores import ImageScores, figures

    one = DetectionEvaluator(CLASSES, 0.25)
    images = some_scores(7)
    for table, boxes, ids in images:
        one.add(table[:, :4], table[:, 4], table[:, 5], boxes, ids)
    apart = [ImageScores.of(*image) for image in images]
    assert figures(apart) == one.figures()
    assert 0.05 < one.figures()['AP50'] < 0.999
    assert figures([*apart, *apart])['images'] == 14
    assert figures(apart) == one.figures(), 'joining changes nothing of the images'


def test_the_interval_holds_the_value_and_narrows_with_more_images():
    from detection_scores import ImageScores, drawn_ap50, draws, figures, interval

    widths = []
    for count in (8, 64):
        images = [ImageScores.of(*image) for image in some_scores(count)]
        values = drawn_ap50(images, draws(count, 100))
        low, high = interval(values)
        assert low <= figures(images)['AP50'] <= high
        np.testing.assert_array_equal(values, drawn_ap50(images, draws(count, 100)))
        widths.append(high - low)
    assert widths[1] < 0.7 * widths[0]


def test_degradations_change_the_camera_that_they_name_only():
    from detection_inputs import CONDITIONS, degraded

    rng = np.random.default_rng(2)
    visible = cv2.resize(rng.integers(60, 200, (12, 16, 3)).astype(np.uint8), SIZE)
    thermal = np.ascontiguousarray(visible[..., 1])
    for condition in CONDITIONS:
        rgb, warm = degraded(condition, visible, thermal, 4)
        if condition == 'rgb missing':
            assert rgb is None
        elif condition == 'thermal missing':
            assert warm is None
        else:
            again = degraded(condition, visible, thermal, 4)
            np.testing.assert_array_equal(rgb, again[0])
            np.testing.assert_array_equal(warm, again[1])
            changed = not np.array_equal(rgb, visible), not np.array_equal(warm, thermal)
            assert changed == (condition in ('dark', 'glare', 'smoke', 'rgb noise'),
                               condition.startswith('thermal'))
            assert rgb.dtype == warm.dtype == np.uint8
    assert degraded('dark', visible, thermal, 4)[0].mean() < 0.7 * visible.mean()


def test_a_lost_camera_leaves_the_other_one():
    from detection_inputs import Inputs

    inputs = Inputs({})
    visible = np.full((32, 48, 3), 90, np.uint8)
    thermal = np.full((32, 48), 150, np.uint8)
    assert inputs.names == ('rgb', 'thermal', 'average', 'fused')
    np.testing.assert_array_equal(inputs.make('fused', visible, None), visible)
    np.testing.assert_array_equal(inputs.make('average', None, thermal)[..., 2], thermal)
    assert inputs.make('rgb', None, thermal) is None
    assert inputs.make('thermal', visible, None) is None
    assert inputs.make('average', visible, thermal)[0, 0].tolist() == [120, 120, 120]


def test_night_is_told_from_day(shared_data):
    from detection_inputs import is_night

    for letter, night in (('D', False), ('N', True)):
        files = sorted((shared_data / 'msrs' / 'rgb').glob(f'*{letter}.webp'))[::10]
        found = [is_night(cv2.imread(str(file))) for file in files]
        assert np.mean([one == night for one in found]) > 0.9


def test_pairs_that_training_has_seen_are_left_out(data, tmp_path):
    from detection_inputs import load_pairs

    assert [files.stem for files in load_pairs(data, 0).files] == ['new_a', 'new_b']
    assert [files.stem for files in load_pairs(data, 1).files] == ['new_a']
    own = data.rename(tmp_path / 'mine')
    assert len(load_pairs(own, 0)) == 3
    with pytest.raises(SourceError, match='has no rgb/'):
        load_pairs(tmp_path, 0)


def test_the_json_has_a_row_for_each_detector_and_input(data, tmp_path, capsys):
    pytest.importorskip('ultralytics')
    torch.manual_seed(0)
    weights, out = tmp_path / 'a.pt', tmp_path / 'rows.json'
    save_network(weights, build_network(width=8), {})
    assert benchmark('--data', data, '--detectors', f'ivif={weights},other={weights}', '--draws',
                     5, '--json', out, '--pictures', tmp_path / 'pictures') == 0
    assert '2 unseen labelled pairs of roadscene (1 of night), 4 objects' in capsys.readouterr().out
    found = json.loads(out.read_text())
    plain = [row for row in found['rows']
             if (row['condition'], row['light']) == ('as recorded', 'all')]
    assert {(row['detector'], row['input']) for row in plain} == {
        (detector, name) for detector in ('ivif', 'other')
        for name in ('rgb', 'thermal', 'average', 'fused')}
    for row in plain:
        assert 0 <= row['AP50'] <= 1
        assert row['images'] == 2
        assert row['per_class']['bicycle']['AP50'] is None
    by_light = {row['light']: row['images'] for row in found['rows']}
    assert by_light == {'all': 2, 'day': 1, 'night': 1}
    lost = next(row for row in found['rows']
                if (row['input'], row['condition']) == ('rgb', 'rgb missing'))
    assert lost['AP50'] == 0
    same = [row for row in found['gains'] if row['detector'] == 'other' and row['input'] == 'fused']
    assert same[0]['gain'] == 0
    assert same[0]['interval'] == [0, 0]
    assert (tmp_path / 'pictures' / 'new_b_night.png').is_file()


@pytest.mark.parametrize(('words', 'says'), [
    (('--detectors', 'ivif=nothing.pt'), 'do not exist'), (('--detectors', 'what'), 'unknown'),
    (('--fusion', 'a'), 'expected NAME=FILE'), (('--fusion', 'a=nothing.pt'), 'does not exist')])
def test_what_cannot_be_used_ends_with_1_and_a_message(data, capsys, words, says):
    assert benchmark('--data', data, '--quick', *words) == 1
    assert says in capsys.readouterr().err
