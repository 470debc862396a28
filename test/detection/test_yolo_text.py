# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels in text files."""

import numpy as np
import pytest

from ivif_ros.detection.yolo_text import read_boxes, read_classes, write_boxes, write_classes
from ivif_ros.errors import OutputError, SourceError


def test_a_box_counts_from_the_outer_edge_of_the_first_pixel(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('2 0.5 0.5 1 1\n0 0.05 0.1 0.1 0.2\n')
    boxes, class_ids = read_boxes(path, (200, 100))
    np.testing.assert_allclose(boxes, [[0, 0, 200, 100], [0, 0, 20, 20]], atol=1e-5)
    assert class_ids.tolist() == [2, 0]


def test_what_was_written_is_read_again(tmp_path):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 200, (20, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 100, (20, 2))], 1)
    ids = rng.integers(0, 3, 20)
    write_boxes(tmp_path / 'new' / 'a.txt', boxes, ids, (640, 480))
    again, again_ids = read_boxes(tmp_path / 'new' / 'a.txt', (640, 480))
    np.testing.assert_allclose(again, boxes, atol=1e-3)
    np.testing.assert_array_equal(again_ids, ids)


def test_an_empty_file_is_an_image_without_objects(tmp_path):
    (tmp_path / 'a.txt').write_text('\n')
    boxes, class_ids = read_boxes(tmp_path / 'a.txt', (64, 48))
    assert boxes.shape == (0, 4)
    assert class_ids.shape == (0,)


def test_what_reaches_beyond_the_image_is_cut_off(tmp_path):
    (tmp_path / 'a.txt').write_text('0 0.05 0.5 0.3 0.2')
    np.testing.assert_allclose(read_boxes(tmp_path / 'a.txt', (100, 100))[0],
                               [[0, 40, 20, 60]], atol=1e-5)


@pytest.mark.parametrize(('line', 'says'), [
    ('0 1.2 0.5 0.1 0.1', 'outside the image'),
    ('0 0.5 -0.1 0.1 0.1', 'outside the image'),
    ('0 0.5 0.5 0 0.1', 'more than 0'),
    ('0 0.5 0.5 0.1', 'five numbers'),
    ('0 0.5 0.5 0.1 0.1 0.9', 'five numbers'),
    ('car 0.5 0.5 0.1 0.1', 'five numbers'),
    ('0 nan 0.5 0.1 0.1', 'five numbers'),
    ('-1 0.5 0.5 0.1 0.1', 'whole number'),
    ('0.5 0.5 0.5 0.1 0.1', 'whole number')])
def test_a_bad_line_is_named(tmp_path, line, says):
    path = tmp_path / 'street.txt'
    path.write_text(f'0 0.5 0.5 0.1 0.1\n{line}\n')
    with pytest.raises(SourceError, match=rf"street\.txt', line 2 .*{says}"):
        read_boxes(path, (100, 100))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(SourceError, match=r'a\.txt'):
        read_boxes(tmp_path / 'a.txt', (100, 100))
    with pytest.raises(SourceError, match='cannot be read'):
        read_boxes(tmp_path / 'missing.txt', (100, 100))


def test_names_of_classes(tmp_path):
    assert read_classes(tmp_path) == ()
    write_classes(tmp_path, ('person', 'bicycle'))
    assert read_classes(tmp_path) == ('person', 'bicycle')


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='file'):
        write_classes(tmp_path / 'file' / 'below', ('person',))
