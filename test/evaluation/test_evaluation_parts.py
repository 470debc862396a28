# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Records, labels, truth, common area, gallery, statistics: the pieces of an evaluation."""

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.errors import OutputError, ParameterError, SourceError
from ivif_ros.evaluation import parts
from ivif_ros.evaluation.flicker import FlickerWindows
from ivif_ros.evaluation.gallery import Gallery
from ivif_ros.evaluation.labels import Labels, TrueObjects
from ivif_ros.evaluation.measures import common_area, fusion_figures
from ivif_ros.evaluation.objects import class_table, detection_figures, objects_record
from ivif_ros.evaluation.parts import Part, PartInfo, PartWriter
from ivif_ros.evaluation.records import (
    Estimate,
    MethodSummary,
    PairRecord,
    RecordingSummary,
    RunInfo,
    Summary,
    from_json,
    read_results,
    to_json,
)
from ivif_ros.evaluation.statistics import Column, estimate, percentiles
from ivif_ros.evaluation.truth import RegistrationTruth
from ivif_ros.metrics.fusion import evaluate
from ivif_ros.metrics.video import FlickerMeter
from ivif_ros.types import Detections, Frame, FramePair, FusionResult, Mode

RUN = RunInfo({'a': 'a folder'}, ['pyramid'], {'fusion.method': 'pyramid'}, 10)


class TestRecords:
    def test_a_summary_comes_back_as_it_was(self):
        summary = Summary(
            RUN, {'pyramid': MethodSummary(
                {'VIF': Estimate(0.5, 0.4, 0.6, 12, 'recordings')}, {'total': {'p50': 3.0}}, 12, 1,
                {'fused': 12}, {'ratio': None}, {'EPE': Estimate(1.0, None, None, 1, 'pairs')})},
            {'a': RecordingSummary({'pyramid': {'VIF': 0.5}}, {'rgb.late': 1}, 4.0, 13, -80.0)},
            {'pyramid': {'fused': {'AP50': 0.5, 'per_class': {'person': {'AP50': 0.5}}}}})
        stored = json.loads(json.dumps(to_json(summary), allow_nan=False))
        assert from_json(Summary, stored, 'test') == summary

    def test_what_json_does_not_know_becomes_null(self):
        record = PairRecord('a', 'b', 0, 1, 0.0, metrics={'VIF': math.nan, 'EN': math.inf})
        stored = json.loads(json.dumps(to_json(record), allow_nan=False))
        assert stored['metrics'] == {'VIF': None, 'EN': None}

    @pytest.mark.parametrize('line', ['{', '{"recording": "a"}', '[]', 'null', '{"unknown": 1}'])
    def test_a_damaged_line_is_named(self, tmp_path, line):
        path = tmp_path / 'results.jsonl'
        good = json.dumps(to_json(PairRecord('a', 'b', 0, 1, 0.0)))
        path.write_text(f'{good}\n{line}\n')
        with pytest.raises(SourceError, match='line 2'):
            list(read_results(path))


class TestLabels:
    def test_yolo_text_counts_from_outer_edges(self, tmp_path):
        (tmp_path / 'a.txt').write_text('2 0.5 0.5 1 1\n0 0.25 0.5 0.5 0.2\n')
        found = Labels(tmp_path).read('a', (200, 100))
        assert found.boxes.tolist() == [[0, 0, 200, 100], [0, 40, 100, 60]]
        assert found.class_ids.tolist() == [2, 0]

    def test_boxes_of_the_simulator_move_by_half_a_pixel(self, tmp_path):
        # An object that fills the image reaches from -0.5 to W - 0.5 where centres are counted.
        np.savez(tmp_path / 'a.npz', boxes=np.float32([[-0.5, -0.5, 199.5, 99.5], [0, 0, 9, 9]]),
                 class_ids=np.array([0, 2]), visibility=np.float32([1, 0.1]))
        (tmp_path.parent / 'simulation.json').write_text(
            '{"class_names": {"0": "person", "2": "car"}}')
        labels = Labels(tmp_path)
        found = labels.read('a', (200, 100))
        assert found.boxes.tolist() == [[0, 0, 200, 100]]
        assert labels.names == {0: 'person', 2: 'car'}

    @pytest.mark.parametrize('text', ['1 2 3', 'a b c d e', '0 0.5 0.5 1.5 1', '0 nan 0.5 1 1'])
    def test_what_is_no_label_is_named(self, tmp_path, text):
        (tmp_path / 'bad.txt').write_text(text)
        with pytest.raises(SourceError, match=r'bad\.txt'):
            Labels(tmp_path).class_ids()

    def test_a_folder_without_labels_is_refused(self, tmp_path):
        with pytest.raises(SourceError, match='no labels'):
            Labels(tmp_path)

    def test_labels_that_match_nothing_say_what_both_are_called(self, tmp_path):
        (tmp_path / 'left.txt').write_text('')
        with pytest.raises(SourceError, match=r'left.*right'):
            Labels(tmp_path).check_match(['right'])
        Labels(tmp_path).check_match(['right', 'left'])

    def test_classes_are_matched_by_name_or_else_by_number(self, tmp_path):
        (tmp_path / 'a.txt').write_text('0 0.5 0.5 1 1\n1 0.5 0.5 1 1\n')
        names = {0: 'person', 1: 'bicycle', 7: 'truck'}
        assert class_table(Labels(tmp_path), names) == {0: 0, 1: 1}
        (tmp_path / 'classes.txt').write_text('Truck\nperson\n')
        assert class_table(Labels(tmp_path), names) == {0: 7, 1: 0}
        (tmp_path / 'classes.txt').write_text('truck\nghost\n')
        with pytest.raises(ParameterError, match='ghost'):
            class_table(Labels(tmp_path), names)

    def test_only_classes_of_the_labels_count(self):
        names = {0: 'person', 2: 'car', 7: 'truck'}
        boxes = np.float32([[0, 0, 10, 10], [50, 50, 90, 90]])
        found = Detections(boxes, np.float32([0.9, 0.8]), np.array([0, 7]), names)
        record = objects_record(0, {'rgb': found}, TrueObjects(
            np.float64([[0, 0, 10, 10], [20, 20, 40, 40]]), np.array([0, 2])))
        figures = detection_figures([record], names, 0.25)['rgb']
        assert set(figures['per_class']) == {'person', 'car'}
        assert figures['per_class']['person']['AP50'] == pytest.approx(1)
        assert figures['per_class']['car']['AP50'] == 0
        assert figures['per_class']['person']['precision'] == 1


class TestTruth:
    def test_a_homography_of_a_resized_crop(self, tmp_path):
        # Crop pixel -> thermal pixel by (2 x + 1, 2 y + 3); the RGB image is twice the crop.
        (tmp_path / 'truth.json').write_text(json.dumps({'a': {
            'H_crop_to_raw': [[2, 0, 1], [0, 2, 3], [0, 0, 1]], 'crop_wh': [40, 30]}}))
        truth = RegistrationTruth(tmp_path / 'truth.json')
        found = truth.true_map('a', 0, (80, 60), (100, 100))
        x, y = 10, 20
        crop = (x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5
        assert found[y, x] == pytest.approx((2 * crop[0] + 1, 2 * crop[1] + 3), abs=1e-4)
        assert truth.true_map('b', 0, (80, 60), (100, 100)) is None

    def test_a_map_of_another_size_is_refused(self, tmp_path):
        np.savez(tmp_path / 'a.npz', map=np.zeros((30, 40, 2), np.float32))
        truth = RegistrationTruth(tmp_path)
        assert truth.true_map('a', 0, (40, 30), (9, 9)).shape == (30, 40, 2)
        with pytest.raises(SourceError, match='40x30'):
            truth.true_map('a', 0, (80, 60), (9, 9))

    @pytest.mark.parametrize('content', ['{', '[1]', '{}', '{"a": 1}'])
    def test_what_is_no_truth_is_refused(self, tmp_path, content):
        path = tmp_path / 'truth.json'
        path.write_text(content)
        with pytest.raises(SourceError, match=r'truth\.json'):
            RegistrationTruth(path)

    def test_a_broken_homography_names_its_pair(self, tmp_path):
        path = tmp_path / 'truth.json'
        path.write_text('{"a": {"H_crop_to_raw": [[0, 0, 0], [0, 0, 0], [0, 0, 1]], '
                        '"crop_wh": [4, 3]}}')
        with pytest.raises(SourceError, match="'a'"):
            RegistrationTruth(path).true_map('a', 0, (40, 30), (9, 9))


class TestCommonArea:
    def test_a_full_image_is_taken_to_the_pixel(self):
        assert common_area(np.ones((101, 203))) == (slice(0, 101), slice(0, 203))

    @given(st.integers(0, 2 ** 32 - 1))
    @settings(max_examples=40, deadline=None)
    def test_it_is_filled_and_no_rectangle_of_cells_is_larger(self, seed):
        rng = np.random.default_rng(seed)
        cells = rng.random((6, 7)) < rng.uniform(0.5, 0.98)
        weight = np.kron(cells, np.ones((24, 24)))  # 144 x 168, cells of three CELLs
        area = common_area(weight)
        best = max((bottom - top) * (right - left)
                   for top in range(6) for bottom in range(top + 1, 7)
                   for left in range(7) for right in range(left + 1, 8)
                   if cells[top:bottom, left:right].all()) if cells.any() else 0
        if area is None:
            return
        assert (weight[area] > 0).all()
        assert weight[area].size == best * 24 * 24

    def test_too_little_is_none(self):
        weight = np.zeros((480, 640))
        weight[:64] = 1
        assert common_area(weight) is None

    def test_figures_are_those_of_the_crop(self):
        rng = np.random.default_rng(0)
        rgb = rng.integers(0, 255, (96, 120, 3), np.uint8)
        thermal = rng.integers(0, 255, (96, 120), np.uint8)
        fused = (rgb // 2 + thermal[..., None] // 2).astype(np.uint8)
        area = slice(8, 88), slice(16, 112)
        expected = evaluate(*(image[8:88, 16:112].copy() for image in (fused, thermal, rgb)))
        found = fusion_figures(fused, thermal, rgb, area)
        assert found['VIF'] == expected['VIF']
        assert found['dE'] == expected['dE']
        assert found['MS-SSIM'] is None  # too small for it: NaN


class TestGallery:
    def test_best_and_worst_are_exact_and_the_median_is_near(self):
        rng = np.random.default_rng(3)
        values = rng.random(200)
        gallery = Gallery(3, 0.0)
        for index, value in enumerate(values):
            gallery.offer(value, index, index / 3, lambda: {'fused': np.zeros((2, 2), np.uint8)})
        chosen = {kept.index for kept in gallery.chosen()}
        order = np.argsort(values)
        assert set(order[:3]) <= chosen
        assert set(order[-3:]) <= chosen
        ranks = {int(np.flatnonzero(order == index)[0]) for index in chosen}
        middle = sorted(ranks - {0, 1, 2, 197, 198, 199})
        assert len(middle) == 3
        assert all(abs(rank - 100) <= 10 for rank in middle)

    def test_one_pair_of_each_second_is_kept(self):
        gallery = Gallery(2, 1.0)
        for index in range(30):  # ten a second, better and better
            gallery.offer(float(index), index, index / 10, dict)
        kept = {one.index for one in gallery.chosen()}
        assert {19, 29} <= kept  # the best of the two best seconds
        assert {0, 10} <= kept  # the worst of the two worst
        assert len(kept) <= 6

    def test_pictures_are_made_for_few(self):
        made = []
        gallery = Gallery(1, 0.0)
        for index, value in enumerate(np.random.default_rng(0).random(500)):
            gallery.offer(value, index, float(index), lambda: made.append(1) or {})
        assert len(made) < 120

    def test_no_figure_is_not_kept(self):
        gallery = Gallery(2, 0.0)
        gallery.offer(math.nan, 0, 0.0, dict)
        assert gallery.chosen() == []


class TestStatistics:
    def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(self):
        rng = np.random.default_rng(1)
        inside = 0
        for _ in range(200):
            column = Column()
            for value in rng.normal(2.0, 1.0, 60):
                column.add('a', value)
            found = estimate(column)
            inside += found.low <= 2.0 <= found.high
        assert 180 <= inside <= 198  # 95 %, less a little for so few values
        assert found.over == 'pairs'
        assert found.n == 60

    def test_recordings_are_drawn_as_wholes(self):
        column = Column()
        for name, value in (('a', 1.0), ('b', 2.0), ('c', 3.0)):
            for _ in range(50):
                column.add(name, value)
        found = estimate(column)
        assert (found.mean, found.over, found.n) == (2.0, 'recordings', 150)
        # Pairs alone would give 2 +- 0.13.
        assert found.low < 1.4
        assert found.high > 2.6
        assert estimate(column) == found

    def test_recordings_count_by_their_pairs(self):
        column = Column()
        column.add('a', 0.0)
        for _ in range(3):
            column.add('b', 1.0)
        assert estimate(column).mean == 0.75
        assert column.means() == {'a': 0.0, 'b': 1.0}

    def test_a_single_pair_has_no_interval(self):
        column = Column()
        column.add('a', 1.0)
        assert estimate(column) == Estimate(1.0, None, None, 1, 'pairs')

    def test_percentiles(self):
        assert percentiles(np.arange(101.0)) == {'p50': 50, 'p90': 90, 'p99': 99}


class TestFlickerWindows:
    @staticmethod
    def results(count, noise):
        rng = np.random.default_rng(0)
        scene = cv2.GaussianBlur(rng.integers(0, 255, (96, 128), np.uint8), (0, 0), 6)
        colour = cv2.cvtColor(scene, cv2.COLOR_GRAY2BGR)
        for index in range(count):
            rgb = Frame(1 + index * 33_000_000, 'rgb', colour)
            level = noise * (-1) ** index
            fused = np.clip(colour.astype(int) + level, 0, 255).astype(np.uint8)
            yield FusionResult(FramePair(rgb, None), Mode.FUSED, '', fused, scene, None, None, {})

    def test_windows_agree_with_one_meter_over_all(self):
        windows, meter = FlickerWindows(), FlickerMeter()
        for result in self.results(91, 4):
            windows.add(result)
            grey = [cv2.cvtColor(x, cv2.COLOR_BGR2GRAY)
                    for x in (result.fused, result.pair.rgb.image)]
            meter.add(grey[0], result.thermal_registered, grey[1])
        found, expected = windows.figures(), meter.result()
        assert found['pairs'] == 90
        assert found['flicker'] == pytest.approx(expected.fused)
        assert found['flicker'] > 7
        assert found['consistency'] == pytest.approx(expected.consistency, abs=0.02)

    def test_a_few_pairs_say_nothing(self):
        windows = FlickerWindows()
        for result in self.results(10, 4):
            windows.add(result)
        assert windows.figures() is None


class TestParts:
    INFO = PartInfo('key', 'a', 'pyramid', 1, 0.0)

    def test_a_part_is_there_whole_or_not_at_all(self, tmp_path):
        part = Part(tmp_path, 'a', 'pyramid')
        writer = PartWriter(part)
        writer.record(PairRecord('a', 'pyramid', 0, 1, 0.0))
        writer.picture('x.webp', b'1')
        assert part.info() is None
        writer.finish(self.INFO)
        writer.close()
        assert part.finished('key')
        assert not part.finished('other')
        assert next(read_results(part.folder / 'results.jsonl')).index == 0
        assert [path.name for path in part.folder.parent.iterdir()] == ['pyramid']

    def test_what_was_interrupted_is_removed(self, tmp_path):
        PartWriter(Part(tmp_path, 'a', 'pyramid'))  # neither finished nor closed
        assert len(list((tmp_path / 'parts' / 'a').iterdir())) == 1
        parts.remove_unfinished(tmp_path)
        assert list((tmp_path / 'parts' / 'a').iterdir()) == []

    def test_a_part_of_a_broken_recording_is_made_again(self, tmp_path):
        part = Part(tmp_path, 'a', 'pyramid')
        writer = PartWriter(part)
        writer.finish(PartInfo('key', 'a', 'pyramid', 1, 0.0, error='truncated'))
        assert not part.finished('key')

    def test_a_full_disk_says_so(self, tmp_path):
        with pytest.raises(OutputError, match=r'No space left.*start the same command again'), \
                parts.writing(tmp_path):
            raise OSError(28, 'No space left on device')

    def test_names_of_network_files_become_names_of_folders(self):
        names = {parts.file_name(method) for method in (
            'pyramid', 'onnx:/a/net.onnx', 'onnx:/b/net.onnx')}
        assert len(names) == 3
        assert 'pyramid' in names
        assert not any(set('/:') & set(name) for name in names)
