# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection figures against hand-computed cases and pycocotools."""

import contextlib
import io
import math

import numpy as np
import pytest

from ivif_ros.metrics.catalogue import DETECTION
from ivif_ros.metrics.detection import DetectionEvaluator, overlap

NOTHING = np.empty((0, 4)), np.empty(0), np.empty(0, int)


def test_overlap_of_known_boxes():
    boxes = [[0, 0, 10, 10], [5, 5, 5, 5]]
    others = [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5]]
    assert overlap(np.array(boxes), np.array(others)) == pytest.approx(
        np.array([[1, 1 / 3, 0, 0], [0, 0, 0, 0]]))
    assert overlap(np.empty((0, 4)), np.array(others)).shape == (0, 4)


def test_average_precision_by_hand():
    """Four objects; boxes by score: right, wrong, right, second box on one object, loose."""
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
    boxes = np.array([[0, 0, 10, 10], [80, 0, 90, 10], [20, 0, 30, 10], [0, 0, 10, 9],
                      [40, 0, 50, 6]])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    evaluator = DetectionEvaluator(('person',), confidence=0.65)
    order = [3, 0, 4, 2, 1]
    evaluator.add(boxes[order], scores[order], np.zeros(5, int), truth, np.zeros(4, int))
    found = evaluator.figures()
    # At 0.50: right 1 0 1 0 1, precision 1, 1/2, 2/3, 1/2, 3/5; recall 1/4, 1/4, 2/4, 2/4, 3/4.
    # Recalls 0..0.25 take 1, 0.26..0.50 take 2/3, 0.51..0.75 take 3/5, the rest nothing.
    assert found['AP50'] == pytest.approx((26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101)
    # The last box overlaps by 0.60 only.
    tight = (26 * 1 + 25 * 2 / 3) / 101
    assert found['AP75'] == pytest.approx(tight)
    # It counts at 0.50, 0.55 and 0.60.
    assert found['mAP50-95'] == pytest.approx((3 * found['AP50'] + 7 * tight) / 10)
    assert found['precision'] == pytest.approx(2 / 3)
    assert found['recall'] == pytest.approx(2 / 4)
    assert (found['objects'], found['images'], found['confidence']) == (4, 1, 0.65)
    assert DETECTION.keys() <= found.keys()


def test_confidence_is_chosen_where_f1_is_best():
    """Boxes right, right, wrong, wrong, wrong, right of four objects."""
    truth = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(4)])
    wrong = [[200, 0, 210, 10], [300, 0, 310, 10], [400, 0, 410, 10]]
    boxes = np.array([truth[0], truth[1], *wrong, truth[2]])
    evaluator = DetectionEvaluator(('person',))
    evaluator.add(boxes, np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1]), np.zeros(6, int), truth,
                  np.zeros(4, int))
    found = evaluator.figures()
    # F1 by box: 2/5, 4/6, 4/7, 4/8, 4/9, 6/10.
    assert found['confidence'] == pytest.approx(0.8)
    assert (found['precision'], found['recall']) == pytest.approx((1, 2 / 4))


def scenes(seed, images=40, classes=3):
    """Random objects with found boxes that are shifted, doubled, missed, wrong or made up."""
    rng = np.random.default_rng(seed)
    for _ in range(images):
        count = int(rng.integers(0, 9))
        corner = rng.uniform(0, 200, (count, 2))
        truth = np.hstack([corner, corner + rng.uniform(8, 60, (count, 2))])
        labels = rng.integers(0, classes, count)
        chosen = rng.random(count) < 0.8
        boxes = truth[chosen] + rng.normal(0, 2.5, (chosen.sum(), 4))
        again = boxes[rng.random(len(boxes)) < 0.2] + 1
        corner = rng.uniform(0, 200, (int(rng.integers(0, 4)), 2))
        extra = np.hstack([corner, corner + 20])
        found = np.vstack([boxes, again, extra])
        ids = np.concatenate([labels[chosen], rng.integers(0, classes, len(again) + len(extra))])
        # Few scores, so that many are equal.
        scores = np.round(rng.uniform(0, 1, len(found)), 1)
        yield found, scores, ids, truth, labels


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_agrees_with_pycocotools(seed):
    coco = pytest.importorskip('pycocotools.coco')
    cocoeval = pytest.importorskip('pycocotools.cocoeval')
    names = ('person', 'bicycle', 'car', 'never_there')
    evaluator = DetectionEvaluator(names)
    annotations, results, images = [], [], []
    for number, (found, scores, ids, truth, labels) in enumerate(scenes(seed), 1):
        evaluator.add(found, scores, ids, truth, labels)
        images.append({'id': number})
        for box, label in zip(truth, labels, strict=True):
            size = box[2:] - box[:2]
            annotations.append({
                'id': len(annotations) + 1, 'image_id': number, 'category_id': int(label),
                'bbox': [*box[:2], *size], 'area': float(size.prod()), 'iscrowd': 0})
        results += [{'image_id': number, 'category_id': int(label), 'score': float(score),
                     'bbox': [*box[:2], *(box[2:] - box[:2])]}
                    for box, score, label in zip(found, scores, ids, strict=True)]
    truth = coco.COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        truth.dataset = {'images': images, 'annotations': annotations,
                         'categories': [{'id': i, 'name': name} for i, name in enumerate(names)]}
        truth.createIndex()
        judge = cocoeval.COCOeval(truth, truth.loadRes(results), 'bbox')
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    found = evaluator.figures()
    assert 0.2 < found['AP50'] < 0.9
    assert [found[key] for key in ('mAP50-95', 'AP50', 'AP75')] == pytest.approx(
        list(judge.stats[:3]), abs=1e-9)
    for index, name in enumerate(names[:3]):
        each = judge.eval['precision'][:, :, index, 0, 2].mean(axis=1)
        assert found['per_class'][name]['AP50'] == pytest.approx(each[0], abs=1e-9)
        assert found['per_class'][name]['mAP50-95'] == pytest.approx(each.mean(), abs=1e-9)
    assert math.isnan(found['per_class']['never_there']['AP50'])


def test_precision_and_recall_agree_with_counting():
    evaluator = DetectionEvaluator(('a', 'b', 'c'), confidence=0.5)
    right, given, there = np.zeros(3), np.zeros(3), np.zeros(3)
    for found, scores, ids, truth, labels in scenes(5):
        evaluator.add(found, scores, ids, truth, labels)
        there += np.bincount(labels, minlength=3)
        free = list(range(len(truth)))
        for i in sorted(range(len(found)), key=lambda i: -scores[i]):
            if scores[i] < 0.5:
                continue
            given[ids[i]] += 1
            values = {j: overlap(found[i:i + 1], truth[j:j + 1])[0, 0] for j in free
                      if labels[j] == ids[i]}
            if values and max(values.values()) >= 0.5:
                free.remove(max(values, key=values.get))
                right[ids[i]] += 1
    figures = evaluator.figures()
    assert figures['precision'] == pytest.approx((right / given).mean())
    assert figures['recall'] == pytest.approx((right / there).mean())


def test_images_without_boxes_and_classes_without_objects():
    evaluator = DetectionEvaluator(('person', 'car'))
    empty = evaluator.figures()
    assert empty['images'] == empty['objects'] == 0
    assert all(math.isnan(empty[key]) for key in DETECTION)
    box = np.array([[0, 0, 10, 10]])
    evaluator.add(*NOTHING, box, np.array([0]))
    missed = evaluator.figures()
    assert [missed[key] for key in DETECTION] == [0, 0, 0, 0, 0]
    # Of a class that no image has, found boxes say nothing about average precision.
    evaluator.add(box, np.array([0.9]), np.array([1]), np.empty((0, 4)), np.empty(0, int))
    evaluator.add(box, np.array([0.8]), np.array([7]), np.empty((0, 4)), np.empty(0, int))
    evaluator.add(box, np.array([0.7]), np.array([0]), box, np.array([0]))
    found = evaluator.figures()
    assert found['images'] == 4
    assert found['recall'] == pytest.approx(1 / 2)
    assert found['precision'] == 1
    assert found['AP50'] == pytest.approx(51 / 101)
    assert found['per_class']['car']['precision'] == 0
    assert math.isnan(found['per_class']['car']['AP50'])


def test_only_the_hundred_best_boxes_of_an_image_count():
    boxes = np.array([[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(120)])
    evaluator = DetectionEvaluator(('person',), confidence=0)
    evaluator.add(boxes, np.linspace(1, 0.1, 120), np.zeros(120, int), boxes, np.zeros(120, int))
    assert evaluator.figures()['recall'] == pytest.approx(100 / 120)


@pytest.mark.parametrize(('change', 'message'), [
    ({0: np.zeros((2, 4))}, '2 found boxes, 1 scores and 1 classes'),
    ({0: np.array([[0, 0, np.nan, 1]])}, 'found boxes or their scores are not finite'),
    ({1: np.array([np.inf])}, 'not finite'),
    ({3: np.array([[5, 5, 0, 9]])}, 'a true box ends before it starts'),
    ({4: np.array([2])}, 'the truth has class 2, expected 0 to 1')])
def test_bad_boxes_are_named(change, message):
    box = np.array([[0, 0, 10, 10]])
    arguments = [box, np.array([0.5]), np.array([0]), box, np.array([0])]
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(ValueError, match=message):
        DetectionEvaluator(('person', 'car')).add(*arguments)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match='no classes'):
        DetectionEvaluator(())
    with pytest.raises(ValueError, match=r'confidence is 1\.5'):
        DetectionEvaluator(('person',), confidence=1.5)
