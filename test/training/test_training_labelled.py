# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Labelled pairs: files, simulator, cut-outs, and crops of them."""

import dataclasses
import tarfile

import cv2
import numpy as np
import pytest
import torch
from labelled_data import SIZE, write_dataset

from ivif_ros.detection.yolo_text import write_boxes, write_classes
from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.cutouts import FRAMES_APART, Cutouts, frame_number
from ivif_ros.training.data.detection import (
    DetectionData,
    DetectionSampler,
    cut_out,
    make_detection_loader,
    mirrored,
    unseen_frames,
)
from ivif_ros.training.data.labelled import LabelledPair, LabelledPairs, labelled_datasets
from ivif_ros.training.data.labelled_streets import LabelledStreets, labelled_instant, outer_edges
from ivif_ros.training.data.splits import split_of

NO_SIMULATION = {'simulated': 0.0}


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / 'mine', [f'{i:02}' for i in range(6)])
    return tmp_path / 'mine'


# Files

def test_pairs_come_with_their_boxes(tmp_path):
    truth = write_dataset(tmp_path / 'mine', ['a', 'b'])
    pairs = LabelledPairs('mine', tmp_path / 'mine')
    assert [files.stem for files in pairs.files] == ['a', 'b']
    pair = pairs[1]
    assert pair.visible.shape == (SIZE[1], SIZE[0], 3)
    assert pair.thermal.shape == (SIZE[1], SIZE[0])
    np.testing.assert_allclose(pair.boxes, truth['b'][0], atol=1e-3)
    assert pair.class_ids.tolist() == [0, 2]
    x0, y0, x1, y1 = pair.boxes[0].round().astype(int)
    assert (pair.thermal[y0:y1, x0:x1] == 220).all()
    assert (pair.thermal[y0:y1, x1] < 100).all()


def test_kept_images_are_those_of_the_files(folder):
    kept, fresh = (LabelledPairs('mine', folder, cache_mb=megabytes) for megabytes in (100, 0))
    assert kept[2] is kept[2]
    assert fresh[2] is not fresh[2]
    np.testing.assert_array_equal(kept[2].visible, fresh[2].visible)


def test_a_pair_without_a_label_is_left_out_unless_another_folder_has_one(folder, tmp_path):
    (folder / 'labels' / '03.txt').unlink()
    assert len(LabelledPairs('mine', folder)) == 5
    more = tmp_path / 'pseudo'
    write_classes(more, ('person', 'bicycle', 'car'))
    write_boxes(more / '03.txt', np.array([[1, 2, 30, 40]]), np.array([1]), SIZE)
    write_boxes(more / '02.txt', np.zeros((0, 4)), np.zeros(0), SIZE)
    pairs = LabelledPairs('mine', folder, more_labels=more)
    assert len(pairs) == 6
    assert pairs[3].class_ids.tolist() == [1]
    assert len(pairs[2].boxes) == 2, 'the label of people counts more than that of teachers'


def test_doubtful_places_are_painted_over_but_objects_are_not(folder, tmp_path):
    more = tmp_path / 'pseudo'
    (folder / 'labels' / '00.txt').unlink()
    write_boxes(more / '00.txt', np.array([[20, 20, 40, 60]]), np.array([0]), SIZE)
    write_boxes(more / '00.doubt.txt', np.array([[30, 10, 80, 50]]), np.array([0]), SIZE)
    plain = LabelledPairs('mine', folder, more_labels=more)[0]
    pair = LabelledPairs('mine', folder, more_labels=more, hide_doubt=True)[0]
    assert len(pair.boxes) == 1
    for image, original in ((pair.visible, plain.visible), (pair.thermal, plain.thermal)):
        hidden = image[10:50, 40:80].reshape(1600, -1)
        assert (hidden == hidden[0]).all()
        assert np.abs(hidden[0] - original[10:50, 30:80].mean(axis=(0, 1))).max() <= 1
        np.testing.assert_array_equal(image[20:60, 20:40], original[20:60, 20:40])
        np.testing.assert_array_equal(image[60:], original[60:])


def test_labels_of_other_classes_are_refused(folder):
    write_classes(folder / 'labels', ('car', 'person'))
    with pytest.raises(SourceError, match='car, person, expected person, bicycle, car'):
        LabelledPairs('mine', folder)


def test_a_class_that_is_unknown_is_refused_with_its_file(folder):
    (folder / 'labels' / '00.txt').write_text('7 0.5 0.5 0.1 0.1')
    with pytest.raises(SourceError, match=r"00\.txt' has class 7, expected 0 to 2"):
        LabelledPairs('mine', folder)[0]


def test_images_of_different_sizes_are_refused(folder):
    cv2.imwrite(str(folder / 'thermal' / '00.png'), np.zeros((50, 60), np.uint8))
    with pytest.raises(SourceError, match='60x50'):
        LabelledPairs('mine', folder)[0]


def test_a_folder_without_labels_is_refused(folder, tmp_path):
    for path in (folder / 'labels').iterdir():
        path.unlink()
    with pytest.raises(SourceError, match='no labelled pair of the split train'):
        labelled_datasets(folder, 'train')
    with pytest.raises(SourceError, match='not a folder'):
        labelled_datasets(folder, 'train', more_labels=tmp_path / 'nothing')


def test_an_image_set_without_one_class_and_one_without_objects_can_be_trained_on(folder):
    for path in (folder / 'labels').iterdir():
        path.write_text('')
    data = DetectionData(**NO_SIMULATION)
    batch = next(make_detection_loader(data, folder, 'train', 2, 64, 0, 0, 0, 1, 0))
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.targets.boxes.shape == (0, 4)


def test_the_labelled_split_of_roadscene_is_as_it_was(shared_data):
    found = {split: labelled_datasets(shared_data / 'roadscene', split)[0]
             for split in ('train', 'validation', 'test')}
    assert {split: len(pairs) for split, pairs in found.items()} == {
        'train': 26, 'validation': 8, 'test': 38}


# Simulator

def test_boxes_of_the_simulator_move_by_half_a_pixel():
    whole = np.array([[-0.5, -0.5, 639.5, 479.5]])
    np.testing.assert_array_equal(outer_edges(whole), [[0, 0, 640, 480]])


def test_simulated_streets_have_labels_that_fit_the_images():
    streets = LabelledStreets(1, 'test', labelled_instant)
    assert len(streets) == 4
    seen = 0
    for index in range(4):
        pair = streets[index]
        assert pair.visible.shape == (480, 640, 3)
        assert pair.thermal.shape == (480, 640)
        assert (pair.boxes >= 0).all()
        assert (pair.boxes <= [640, 480, 640, 480]).all()
        # People are warm: by night they are brighter than what is around them.
        for box in pair.boxes[pair.class_ids == 0]:
            x0, y0, x1, y1 = box.round().astype(int)
            if y1 - y0 > 40:
                inside = pair.thermal[y0:y1, x0:x1].max()
                assert inside > np.median(pair.thermal)
                seen += 1
    assert seen


# Cut-outs

def cutouts_folder(path, names=('train_00100_0', 'train_00500_1', 'mine')):
    for index, kind in enumerate(('person', 'bicycle', 'car')):
        for sensor in ('rgb', 'thermal'):
            (path / sensor / kind).mkdir(parents=True)
            for name in names:
                patch = np.full((40, 20 + 10 * index, 3), 60 * index + 100, np.uint8)
                cv2.imwrite(str(path / sensor / kind / f'day_{name}.png'), patch)
    return path


def test_cutouts_near_unseen_frames_are_left_out(tmp_path):
    path = cutouts_folder(tmp_path / 'cut')
    assert frame_number('night_val_09643_0') == 9643
    assert frame_number('mine') is None
    everything = Cutouts(path)
    assert everything.counts() == {'person': 3, 'bicycle': 3, 'car': 3}
    for number in (100, 100 - FRAMES_APART, 100 + FRAMES_APART):
        assert Cutouts(path, frozenset({number})).counts()['car'] == 2
    assert Cutouts(path, frozenset({100 + FRAMES_APART + 1})).counts()['car'] == 3


def test_an_archive_is_read_like_a_folder(tmp_path):
    path = cutouts_folder(tmp_path / 'cut')
    with tarfile.open(tmp_path / 'cut.tar', 'w') as archive:
        archive.add(path, '.')
    pair = blank()
    both = [Cutouts(file).paste(pair, 3, 1.0, np.random.default_rng(1))
            for file in (path, tmp_path / 'cut.tar')]
    np.testing.assert_array_equal(both[0].visible, both[1].visible)
    np.testing.assert_array_equal(both[0].boxes, both[1].boxes)


def test_pasted_objects_are_where_their_boxes_are_and_do_not_hide_others(tmp_path):
    cutouts = Cutouts(cutouts_folder(tmp_path / 'cut'))
    pair = dataclasses.replace(blank(), boxes=np.array([[100, 100, 180, 180]], np.float32),
                               class_ids=np.array([2]))
    done = cutouts.paste(pair, 12, 1.0, np.random.default_rng(3))
    assert len(done.boxes) > 4
    assert len(done.boxes) == len(done.class_ids)
    for box, kind in zip(done.boxes[1:], done.class_ids[1:], strict=True):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        assert done.thermal[y, x] == 60 * kind + 100
        assert (done.visible[y, x] == 60 * kind + 100).all()
    assert (done.thermal[110:170, 110:170] == 50).mean() > 0.8
    assert (pair.thermal == 50).all(), 'the pair that was given is not changed'


def blank():
    return LabelledPair(np.full((320, 320, 3), 50, np.uint8), np.full((320, 320), 50, np.uint8),
                        np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def test_cutouts_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(SourceError, match='cannot be read'):
        Cutouts(tmp_path / 'nothing.tar')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SourceError, match='no cut-outs'):
        Cutouts(tmp_path / 'empty')
    path = cutouts_folder(tmp_path / 'cut', ('one',))
    for kind in ('person', 'bicycle', 'car'):
        (path / 'rgb' / kind / 'day_one.png').write_bytes(b'nothing')
    with pytest.raises(SourceError, match=r'day_one\.png'):
        Cutouts(path).paste(blank(), 1, 1.0, np.random.default_rng(0))


def test_no_cutout_is_near_a_frame_that_is_tested_on(shared_data):
    unseen = unseen_frames(shared_data)
    assert len(unseen) > 40
    stems = [path.stem for path in (shared_data / 'roadscene' / 'rgb').iterdir()]
    tested = [stem for stem in stems if split_of('roadscene', stem) == 'test']
    assert {int(stem[-5:]) for stem in tested} <= unseen
    counts = Cutouts(shared_data / 'flir_crops' / 'flir_crops.tar', unseen).counts()
    assert min(counts.values()) > 150
    assert sum(counts.values()) < 1500


# Crops

def test_a_crop_shows_what_its_boxes_say():
    thermal = np.zeros((100, 200), np.uint8)
    thermal[40:60, 80:120] = 200
    pair = LabelledPair(np.dstack([thermal] * 3), thermal,
                        np.array([[80, 40, 120, 60]], np.float32), np.array([2]))
    for scale, x, y in ((1.0, 70, 30), (2.0, 60, 20), (0.5, -40, -30), (1.5, 75.5, 10.25)):
        crop = cut_out(pair, x, y, scale, 128)
        np.testing.assert_allclose(
            crop.boxes, [(np.array([80, 40, 120, 60]) - [x, y, x, y]) * scale], atol=1e-4)
        rows, columns = np.nonzero(crop.thermal == 200)
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert np.abs(np.array(found) - crop.boxes[0]).max() <= 2
        other = mirrored(crop)
        rows, columns = np.nonzero(other.thermal == 200)
        assert abs(columns.min() - other.boxes[0, 0]) <= 2
        assert abs(columns.max() + 1 - other.boxes[0, 2]) <= 2


def test_an_object_of_which_little_is_left_has_no_box():
    pair = LabelledPair(np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200), np.uint8),
                        np.array([[0, 0, 40, 40], [60, 10, 63, 80]], np.float32),
                        np.array([2, 0]))
    crop = cut_out(pair, 35, 0, 1.0, 64)
    assert len(crop.boxes) == 0, 'an eighth of the first, and the second is 3 pixels wide'
    assert cut_out(pair, 20, 0, 1.0, 64).boxes.tolist() == [[0, 0, 20, 40]]


def test_batches_depend_on_seed_and_number_only(folder):
    data = DetectionData(**NO_SIMULATION)

    def batches(seed, start, workers=0):
        return make_detection_loader(data, folder, 'train', 3, 96, seed, start, 0, 1, workers)

    first = batches(1, 0)
    one, two = next(first), next(first)
    again = next(batches(1, 1))
    assert torch.equal(two.images, again.images)
    assert torch.equal(two.targets.boxes, again.targets.boxes)
    assert not torch.equal(one.images, two.images)
    assert not torch.equal(next(batches(2, 0)).images, one.images)
    assert torch.equal(next(batches(1, 0, workers=1)).images, one.images)
    assert one.images.min() >= 0
    assert one.images.max() <= 1


@pytest.mark.parametrize('view', ['rgb', 'thermal'])
def test_a_lost_camera_is_not_seen(folder, view):
    data = DetectionData(simulated=0.0, rgb=float(view == 'rgb'), thermal=float(view == 'thermal'),
                         degradations=DataConfig(degradation=0.0))
    sampler = DetectionSampler(data, labelled_datasets(folder, 'train'), None, 96)
    for seed in range(3):
        image, crop = sampler.draw(np.random.default_rng(seed), torch.Generator())
        shown = crop.visible if view == 'rgb' else np.repeat(crop.thermal[..., None], 3, 2)
        np.testing.assert_array_equal(image, shown)


def test_the_fused_view_shows_both(folder):
    data = DetectionData(simulated=0.0, rgb=0.0, thermal=0.0)
    sampler = DetectionSampler(data, labelled_datasets(folder, 'train'), None, 96)
    image, crop = sampler.draw(np.random.default_rng(0), torch.Generator())
    assert image.shape == crop.visible.shape
    assert not np.array_equal(image, crop.visible)


def test_crops_are_placed_around_objects(folder):
    """At this zoom a crop holds a fifth of the image: by chance many would be empty."""
    data = DetectionData(simulated=0.0, focus=1.0, smallest=0.4, largest=0.4)
    sampler = DetectionSampler(data, labelled_datasets(folder, 'train'), None, 64)
    for seed in range(12):
        crop = sampler.draw(np.random.default_rng(seed), torch.Generator())[1]
        assert len(crop.boxes) >= 1


@pytest.mark.parametrize(('settings', 'says'), [
    ({'rgb': 0.7, 'thermal': 0.6}, 'more than 1'), ({'paste': 1.5}, 'data.paste'),
    ({'smallest': 2.0, 'largest': 1.0}, 'data.smallest'), ({'smallest': 0.0}, 'data.smallest'),
    ({'simulated_scenes': 0}, 'data.simulated_scenes')])
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(ParameterError, match=says):
        DetectionData(**settings)


def test_a_share_of_an_unknown_data_set_and_a_crop_of_a_bad_size_are_refused(folder):
    sources = labelled_datasets(folder, 'train')
    with pytest.raises(ParameterError, match="names 'other', expected one of mine"):
        DetectionSampler(DetectionData(share={'other': 1.0}), sources, None, 96)
    with pytest.raises(ParameterError, match='no data set has a share'):
        DetectionSampler(DetectionData(simulated=0.0, share={'mine': 0.0}), sources, None, 96)
    with pytest.raises(ParameterError, match='multiple of 32'):
        DetectionSampler(DetectionData(), sources, None, 100)
