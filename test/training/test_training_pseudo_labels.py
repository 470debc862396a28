# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels by agreement of teachers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_data import SIZE, write_dataset

from ivif_ros.detection.yolo_text import read_boxes, read_classes
from ivif_ros.errors import ParameterError
from ivif_ros.training import pseudo_labels
from ivif_ros.training.agreement import agree
from ivif_ros.training.data.labelled import CLASSES, LabelledPairs
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.detection_network import build_network, save_network
from ivif_ros.types import Detections

COCO = {0: 'person', 1: 'bicycle', 2: 'car', 7: 'truck'}
REPOSITORY = Path(__file__).resolve().parents[2]


def look(*rows, names=COCO):
    """Objects found by one look: rows of x0, y0, x1, y1, score, class id."""
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5], names)


def test_two_sure_looks_make_a_label_at_their_mean():
    agreed = agree([look((10, 10, 50, 90, 0.9, 0)), look((14, 10, 50, 94, 0.6, 0)), look()])
    np.testing.assert_allclose(agreed.boxes, [[11.6, 10, 50, 91.6]], atol=1e-4)
    assert agreed.class_ids.tolist() == [0]
    assert len(agreed.doubtful) == 0


def test_one_look_alone_is_doubtful_however_sure():
    agreed = agree([look((10, 10, 50, 90, 0.99, 0)), look()])
    assert len(agreed.boxes) == 0
    np.testing.assert_allclose(agreed.doubtful, [[10, 10, 50, 90]])


def test_several_boxes_of_one_look_are_one_vote():
    twice = look((10, 10, 50, 90, 0.8, 0), (11, 10, 50, 90, 0.7, 0))
    assert len(agree([twice, look()]).boxes) == 0


def test_weak_votes_are_doubtful_or_nothing():
    one, other = (look((10, 10, 50, 90, 0.3, 2)), look((10, 10, 50, 90, 0.2, 2)))
    agreed = agree([one, other])
    assert (len(agreed.boxes), len(agreed.doubtful)) == (0, 1)
    agreed = agree([other, other])
    assert (len(agreed.boxes), len(agreed.doubtful)) == (0, 0)


def test_classes_are_matched_by_name_and_others_do_not_count():
    named = {0: 'car', 1: 'truck', 2: 'Person', 3: 'bicycle'}
    agreed = agree([look((10, 10, 90, 50, 0.9, 0), (200, 10, 290, 50, 0.9, 1), names=named),
                    look((10, 10, 90, 50, 0.9, 2), (200, 10, 290, 50, 0.9, 7))])
    assert agreed.class_ids.tolist() == [2]
    assert len(agreed.doubtful) == 0


def test_neighbours_stay_apart():
    row = [(10, 10, 50, 90, 0.9, 0), (40, 10, 80, 90, 0.8, 0)]
    agreed = agree([look(*row), look(*row)])
    np.testing.assert_allclose(agreed.boxes, [[10, 10, 50, 90], [40, 10, 80, 90]])


def test_a_teacher_of_another_class_set_is_refused():
    with pytest.raises(ParameterError, match="class 'bicycle'"):
        agree([look(names={0: 'person', 1: 'car'})])
    assert len(agree([]).boxes) == 0


def test_the_command_labels_what_training_may_see_and_says_how(tmp_path, capsys):
    pytest.importorskip('ultralytics')
    seen = next(line for line in (
        REPOSITORY / 'ivif_ros/training/data/splits/msrs.txt').read_text().splitlines()
        if split_of('msrs', line) == 'train')
    write_dataset(tmp_path / 'data' / 'msrs', [seen, 'nobody_sees_this'])
    for path in (tmp_path / 'data' / 'msrs' / 'labels').iterdir():
        path.unlink()
    # A model with random weights that is sure of much; what it agrees on does not matter here.
    torch.manual_seed(0)
    network = build_network(width=8)
    for branch in network.model[-1].cv3:
        torch.nn.init.zeros_(branch[-1].bias)
    teacher = tmp_path / 'teacher.pt'
    save_network(teacher, network, {})
    out = tmp_path / 'labels'
    assert pseudo_labels.main(['--data', str(tmp_path / 'data'), '--out', str(out), '--teacher',
                               str(teacher)]) == 0
    assert '1 pairs:' in capsys.readouterr().out
    told = json.loads((out / 'labels.json').read_text())
    assert told['teachers'] == ['teacher.pt']
    assert told['pairs'] == 1
    assert read_classes(out / 'msrs') == CLASSES
    boxes, _ = read_boxes(out / 'msrs' / f'{seen}.txt', SIZE)
    assert len(boxes) == sum(told['objects'].values()) > 0
    assert not (out / 'msrs' / 'nobody_sees_this.txt').exists()
    pairs = LabelledPairs('msrs', tmp_path / 'data' / 'msrs', more_labels=out / 'msrs')
    assert len(pairs) == 1
    np.testing.assert_allclose(pairs[0].boxes, boxes, atol=1e-3)


@pytest.mark.parametrize(('words', 'says'), [
    (['--out', str(REPOSITORY / 'labels')], 'lies in the repository'),
    (['--teacher', 'nothing.pt'], 'do not exist'), (['--enough', '0'], '--enough is 0.0'),
    (['--data', '/nowhere'], 'not a folder')])
def test_what_cannot_be_done_ends_with_2_and_a_message(tmp_path, capsys, words, says):
    write_dataset(tmp_path / 'mine', ['a', 'b', 'c'])
    given = {'--data': str(tmp_path / 'mine'), '--out': str(tmp_path / 'labels'),
             '--teacher': 'x.pt', **dict([words])}
    assert pseudo_labels.main([word for pair in given.items() for word in pair]) == 2
    assert says in capsys.readouterr().err
