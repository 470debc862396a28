# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of TDFusion: order of the steps, disjoint sets, crops whose labels fit their pixels."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.labelled import LabelledPair
from ivif_ros.training.data.labelled_crops import CropMaker, collate, cut_boxes, whole
from ivif_ros.training.data.meta import Epoch, Pool, make_meta_loader
from ivif_ros.training.data.segmented import SegmentedPair, segmented_instant

CONFIG = DataConfig(flip=0.5, shrink=0.5, intensity=0.0, degradation=0.0)


class Numbered:
    """Pairs that tell which one they are by their grey level."""

    name = 'numbered'

    def __init__(self, count):
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return LabelledPair(
            np.full((40, 48, 3), index, np.uint8), np.full((40, 48), index, np.uint8),
            np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@pytest.fixture
def numbered(monkeypatch):
    monkeypatch.setattr('ivif_ros.training.data.meta.labelled_datasets',
                        lambda *_: [Numbered(9), Numbered(0), Numbered(4)])


def levels(batch):
    """Grey level of each image of a batch."""
    return [round(255 * float(plane.mean())) for plane in batch.planes.clean_thermal]


def take(count, **options):
    return list(itertools.islice(make_meta_loader(
        CONFIG, Epoch(4, 3), '/nowhere', crop=16, **options), count))


def test_meta_steps_come_first_then_fusion_steps(numbered):
    assert [batch.test is not None for batch in take(10)] == [True] * 4 + [False] * 3 + [True] * 3
    assert [Epoch(4, 3).place(step) for step in (0, 3, 4, 6, 7, 11)] == [
        (0, 0, True), (0, 3, True), (0, 0, False), (0, 2, False), (1, 0, True), (1, 3, False)]
    assert Epoch(0, 3).place(5) == (1, 5, False)


@pytest.mark.parametrize(('size', 'expected'), [(4, 4), (200, 6)])
def test_meta_sets_are_disjoint_and_drawn_afresh(size, expected):
    pool = Pool([Numbered(9), Numbered(4)], 7)
    drawn = [pool.meta_sets(epoch, size) for epoch in range(5)]
    for train, test in drawn:
        assert len(set(train)) == len(set(test)) == expected
        assert not set(train) & set(test)
        assert set(train) | set(test) <= set(range(13))
    assert len({tuple(train) for train, _ in drawn}) == 5
    again = Pool([Numbered(9), Numbered(4)], 7)
    assert all(np.array_equal(a, b) for epoch in (3, 1)
               for a, b in zip(drawn[epoch], again.meta_sets(epoch, size), strict=True))


def test_fusion_steps_go_through_all_pairs():
    pool = Pool([Numbered(9), Numbered(4)], 7)
    for first in (0, 13, 26):
        assert sorted(map(pool.nth, range(first, first + 13))) == list(range(13))
    assert [pool.nth(k) for k in range(13)] != [pool.nth(k) for k in range(13, 26)]


def test_the_batches_of_an_epoch_come_from_its_sets(monkeypatch):
    monkeypatch.setattr('ivif_ros.training.data.meta.labelled_datasets', lambda *_: [Numbered(13)])
    train, test = (set(numbers.tolist()) for numbers in Pool([Numbered(13)], 0).meta_sets(0, 4))
    batches = take(4)
    assert {level for batch in batches for level in levels(batch.train)} == train
    assert {level for batch in batches for level in levels(batch.test)} == test


def same(a, b):
    pairs = [(getattr(x, part), getattr(y, part)) for x, y in zip(a, b, strict=True)
             for part in ('train', 'test') if getattr(x, part) is not None]
    return all(torch.equal(x.colour, y.colour) and torch.equal(x.planes.visible, y.planes.visible)
               for x, y in pairs)


def test_a_batch_depends_on_seed_and_step_only(numbered):
    whole_run = take(9)
    assert same(take(9, workers=1), whole_run)
    assert same(take(4, start_step=5), whole_run[5:])
    assert not same(take(9, seed=1), whole_run)


def test_processes_share_a_pass(monkeypatch):
    monkeypatch.setattr('ivif_ros.training.data.meta.labelled_datasets', lambda *_: [Numbered(12)])
    loaders = [make_meta_loader(CONFIG, Epoch(0, 1), '', batch_size=2, crop=16, rank=rank, world=3)
               for rank in range(3)]
    seen = [level for _ in range(2) for loader in loaders for level in levels(next(loader).train)]
    assert sorted(seen) == list(range(12))


def test_too_few_pairs(monkeypatch):
    monkeypatch.setattr('ivif_ros.training.data.meta.labelled_datasets', lambda *_: [Numbered(1)])
    with pytest.raises(SourceError, match=r'there are 1 labelled pairs.*expected at least 2'):
        take(1)


@pytest.mark.parametrize('values', [(-1, 3), (2, 0)])
def test_epochs_that_cannot_be(values):
    with pytest.raises(ParameterError, match=r'epoch\.'):
        Epoch(*values)


# --- crops


def square(seed):
    """A bright rectangle on black whose box is known, with its pixels as class 2."""
    rng = np.random.default_rng(seed)
    (x0, x1), (y0, y1) = (sorted(rng.choice(np.arange(0, limit + 1, 4), 2, replace=False))
                          for limit in (96, 80))
    visible = np.zeros((80, 96, 3), np.uint8)
    visible[y0:y1, x0:x1] = 255
    inside = visible[..., 0] > 0
    return SegmentedPair(visible, visible[..., 0].copy(), np.array([[x0, y0, x1, y1]], np.float32),
                         np.array([2]), np.where(inside, 2, -1))


@pytest.mark.parametrize('crop', [32, 64, 160])
def test_boxes_and_classes_follow_the_pixels(crop):
    """Cut, mirrored, shrunk or enlarged: the box is where the bright pixels are."""
    maker = CropMaker(CONFIG, crop)
    boxed = 0
    for seed in range(60):
        made = maker.cut(square(seed), np.random.default_rng(seed))
        assert made.colour.shape == (1, 3, crop, crop)
        bright = made.planes.clean_thermal[0, 0].numpy() > 0.5
        assert np.mean(bright != (made.class_map == 2)) < 0.04
        if not len(made.boxes):
            continue
        boxed += 1
        ys, xs = np.nonzero(bright)
        pixels = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert np.abs(made.boxes[0] - pixels).max() <= max(1, crop / 64)
        assert made.class_ids.tolist() == [2]
    assert boxed > 15


def test_colour_and_luma_belong_together():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    pair = LabelledPair(image, image[..., 0], np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    batch = whole(pair, 32)
    assert batch.colour.shape == (1, 3, 64, 64)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    luma = 255 * batch.planes.visible[0, 0, :40, :50].numpy()
    assert np.abs(luma - grey).max() < 0.6
    rgb = 255 * batch.colour[0, :, :40, :50].numpy().transpose(1, 2, 0)
    assert np.abs(rgb - image[..., ::-1]).max() < 1e-3


def test_cut_boxes_drop_what_is_mostly_outside():
    boxes = np.array([[0, 0, 10, 10], [8, 8, 12, 12], [15, 10, 35, 30], [29, 12, 60, 20]],
                     np.float32)
    inside, kept = cut_boxes(boxes, 10, 10, 20)
    assert kept.tolist() == [False, False, True, False]
    assert inside.tolist() == [[5, 0, 20, 20]]


def test_collated_objects_know_their_image():
    crops = [CropMaker(CONFIG, 32).cut(square(seed), np.random.default_rng(seed))
             for seed in range(6)]
    targets = collate(crops).targets
    assert targets.image_ids.tolist() == [
        image for image, crop in enumerate(crops) for _ in crop.boxes]
    assert targets.boxes.shape == (len(targets.image_ids), 4)
    assert targets.class_map.shape == (6, 32, 32)


def test_degradation_reaches_the_network_only():
    config = DataConfig(degradation=1e3, flip=0, shrink=0, intensity=0)
    pair = square(3)
    made = CropMaker(config, 64).cut(pair, np.random.default_rng(0))
    assert not torch.equal(made.planes.visible, made.planes.clean_visible)
    luma = (made.colour * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(luma, made.planes.clean_visible, atol=1e-5)


def test_simulated_classes_lie_in_their_boxes():
    rig = SimulatedRig(RigConfig(
        seed=3, rgb_size=(160, 120), thermal_size=(160, 120), rgb_fov_deg=60.0,
        thermal_fov_deg=60.0, rgb_distortion=(), thermal_distortion=(), baseline_m=0.0,
        thermal_rotation_deg=(0.0, 0.0, 0.0)))
    pair = segmented_instant(rig, 2.0)
    truth = rig.true_boxes(2.0)
    assert pair.class_map.shape == (120, 160)
    assert set(np.unique(pair.class_map)) <= {-1, 0, 1, 2}
    assert (pair.class_map >= 0).sum() > 50
    covered = np.zeros((3, 120, 160), bool)
    for (x0, y0, x1, y1), kind in zip(truth.boxes + 0.5, truth.class_ids, strict=True):
        covered[kind, round(y0):round(y1), round(x0):round(x1)] = True
    for kind in range(3):
        # Objects of less than six pixels have no box.
        outside = (pair.class_map == kind) & ~covered[kind]
        _, _, stats, _ = cv2.connectedComponentsWithStats(outside.astype(np.uint8))
        assert stats[1:, cv2.CC_STAT_AREA].max(initial=0) < 6
