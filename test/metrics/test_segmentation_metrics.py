# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation figures against hand-computed cases and loops over sets of pixels."""

import math

import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.metrics.catalogue import SEGMENTATION
from ivif_ros.metrics.segmentation import SegmentationEvaluator


def test_a_case_by_hand():
    evaluator = SegmentationEvaluator(('road', 'person', 'car'))
    evaluator.add(np.array([[0, 0, 0], [1, 1, 0]]), np.array([[0, 0, 0], [1, 0, 255]]))
    evaluator.add(np.array([[1, 9]]), np.array([[1, 1]]))  # 9 is no class: a miss
    found = evaluator.figures()
    assert found['per_class']['road'] == pytest.approx({'IoU': 3 / 4, 'accuracy': 3 / 4,
                                                        'pixels': 4})
    assert found['per_class']['person'] == pytest.approx({'IoU': 2 / 4, 'accuracy': 2 / 3,
                                                          'pixels': 3})
    assert math.isnan(found['per_class']['car']['IoU'])
    assert found['mIoU'] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found['mAcc'] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert SEGMENTATION.keys() == found.keys() - {'per_class'}


def test_a_class_that_is_only_found_counts_as_wrong():
    evaluator = SegmentationEvaluator(('road', 'person'))
    evaluator.add(np.array([[0, 1]]), np.array([[0, 0]]))
    found = evaluator.figures()
    assert found['per_class']['person']['IoU'] == 0
    assert found['mIoU'] == pytest.approx(0.25)
    assert found['mAcc'] == pytest.approx(0.5)


def test_batches_agree_with_sets_of_pixels():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (5, 13, 17)).astype(np.uint8)
    found = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 4, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    evaluator = SegmentationEvaluator('abcd')
    evaluator.add(found, truth)
    one_by_one = SegmentationEvaluator('abcd')
    for pair in zip(found, truth, strict=True):
        one_by_one.add(*pair)
    figures = evaluator.figures()
    assert figures == one_by_one.figures()
    ious, accuracies = [], []
    known = {place for place, label in np.ndenumerate(truth) if label != 255}
    for number in range(4):
        given = {place for place in known if found[place] == number}
        true = {place for place in known if truth[place] == number}
        ious.append(len(given & true) / len(given | true))
        accuracies.append(len(given & true) / len(true))
    assert figures['mIoU'] == pytest.approx(np.mean(ious))
    assert figures['mAcc'] == pytest.approx(np.mean(accuracies))


def test_nothing_seen_gives_no_figures():
    found = SegmentationEvaluator(('road',)).figures()
    assert math.isnan(found['mIoU'])
    assert math.isnan(found['mAcc'])


@pytest.mark.parametrize(('found', 'truth', 'message'), [
    (np.zeros((2, 3), int), np.zeros((3, 2), int), 'have shapes'),
    (np.zeros((2, 3)), np.zeros((2, 3), int), 'expected whole numbers'),
    (np.zeros((2, 3), int), np.full((2, 3), 5), 'label 5, expected 0 to 1 or 255')])
def test_bad_labels_are_named(found, truth, message):
    with pytest.raises(ImageError, match=message):
        SegmentationEvaluator('ab').add(found, truth)
    with pytest.raises(ValueError, match='no classes'):
        SegmentationEvaluator(())
