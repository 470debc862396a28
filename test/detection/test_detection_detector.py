# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading and running detectors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.detection import load_detector
from ivif_ros.errors import ImageError, MissingDependencyError, ParameterError, WeightsError
from ivif_ros.parameters import DetectionParameters, replace

ONNX = 'yolov8n_int8_coco.onnx'
OPENVINO = 'yolo11n_int8_coco_openvino_model'
REPOSITORY = Path(__file__).resolve().parents[2]

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec('ultralytics') is None, reason='ultralytics is not installed')


def load(path, **values):
    return load_detector(DetectionParameters(weights=str(path), **values), 'cpu')


@pytest.fixture(scope='module')
def noise():
    return np.random.default_rng(3).integers(0, 256, (120, 200, 3), np.uint8)


@pytest.fixture(scope='module', params=[ONNX, OPENVINO])
def trained(request, shared_weights):
    package = 'openvino' if request.param == OPENVINO else 'onnxruntime'
    pytest.importorskip('ultralytics')
    pytest.importorskip(package, reason=f'{package} is not installed')
    detector = load(shared_weights / request.param)
    yield detector
    detector.close()


def test_no_weights_no_detector():
    assert load('') is None


@pytest.mark.parametrize(('name', 'content', 'expected'), [
    ('gone.pt', None, "'.*gone.pt' do not exist"),
    ('readme.txt', b'hello', "'.*readme.txt' are of an unknown kind"),
    ('broken.pt', b'hello', "'.*broken.pt' cannot be loaded"),
    ('empty.pt', b'', "'.*empty.pt' cannot be loaded"),
    ('broken.onnx', b'hello', "'.*broken.onnx' cannot be loaded"),
])
@needs_ultralytics
def test_unusable_weights_are_named(tmp_path, name, content, expected):
    if name.endswith('.onnx'):
        pytest.importorskip('onnxruntime')
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=expected) as caught:
        load(tmp_path / name)
    assert '\n' not in str(caught.value)


def test_a_folder_without_model_is_of_an_unknown_kind(tmp_path):
    with pytest.raises(WeightsError, match='unknown kind'):
        load(tmp_path)


def test_an_openvino_folder_needs_its_name(tmp_path):
    (tmp_path / 'model.xml').write_text('<net/>')
    with pytest.raises(WeightsError, match='must end in'):
        load(tmp_path)


@pytest.mark.parametrize(('missing', 'name'), [('ultralytics', 'm.pt'), ('onnxruntime', 'm.onnx')])
def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch, missing, name):
    (tmp_path / name).write_bytes(b'hello')
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda package: (
        None if package == missing else find_spec(package) or object()))
    with pytest.raises(MissingDependencyError, match=f'pip install {missing}'):
        load(tmp_path / name)


def test_other_onnx_models_are_refused(shared_weights):
    pytest.importorskip('ultralytics')
    pytest.importorskip('onnxruntime')
    with pytest.raises(WeightsError, match='yolox_nano_coco'):
        load(shared_weights / 'yolox_nano_coco.onnx')


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@needs_ultralytics
def test_loading_weights_runs_no_foreign_code(tmp_path, untrained):
    import torch
    from ultralytics import utils

    if not hasattr(utils, 'SAFE_LOAD'):
        pytest.skip('this release of ultralytics has no restricted loading')
    torch.save({'model': Payload(tmp_path / 'owned')}, tmp_path / 'evil.pt')
    with pytest.raises(WeightsError, match=r'evil\.pt'):
        load(tmp_path / 'evil.pt')
    assert not (tmp_path / 'owned').exists()


@needs_ultralytics
def test_a_model_file_brings_its_names_and_boxes(untrained, noise):
    detector = load(untrained, confidence=0.0, iou=1.0)
    assert detector.names == {0: 'person', 1: 'bicycle', 2: 'car'}
    found = detector.detect(noise)
    assert len(found) > 10
    assert found.boxes.dtype == np.float32
    assert found.names == detector.names
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes.min() >= 0
    assert (found.boxes.max(0) <= (200, 120, 200, 120)).all()
    detector.close()


@needs_ultralytics
def test_thresholds_and_classes_change_at_run_time(untrained, noise):
    params = DetectionParameters(weights=str(untrained), confidence=0.0, iou=1.0)
    detector = load_detector(params, 'cpu')
    everything = detector.detect(noise)
    kept = int(np.argsort(-np.bincount(everything.class_ids, minlength=3))[0])
    only = replace(params, {'classes': [detector.names[kept].upper()]})
    detector.set_parameters(only)
    assert set(detector.detect(noise).class_ids) == {kept}
    threshold = float(np.median(everything.scores))
    detector.set_parameters(replace(params, {'confidence': threshold}))
    some = detector.detect(noise)
    assert 0 < len(some) < len(everything)
    assert some.scores.min() >= threshold
    with pytest.raises(ParameterError, match=r"'cart'.*did you mean 'car'.*person, bicycle, car"):
        detector.set_parameters(replace(params, {'classes': ['cart']}))
    assert len(detector.detect(noise)) == len(some), 'a refused change changed something'
    detector.close()


@needs_ultralytics
def test_unknown_class_names_are_refused_at_start(untrained):
    with pytest.raises(ParameterError, match='unicorn'):
        load(untrained, classes=['car', 'unicorn'])


@needs_ultralytics
@pytest.mark.parametrize('image', [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32),
                                   np.zeros((0, 9, 3), np.uint8)])
def test_other_images_are_refused(untrained, image):
    detector = load(untrained)
    with pytest.raises(ImageError, match='image to detect in'):
        detector.detect(image)
    detector.close()


@needs_ultralytics
def test_the_process_keeps_its_threads_and_print_options(untrained):
    script = f"""
import os, cv2, numpy, torch
os.environ.pop('OMP_NUM_THREADS', None)
torch.set_num_threads(3), cv2.setNumThreads(3)
before = torch.get_num_threads(), cv2.getNumThreads(), numpy.get_printoptions()
from ivif_ros.detection import load_detector
from ivif_ros.parameters import DetectionParameters
load_detector(DetectionParameters(weights={str(untrained)!r}), 'cpu')
{TRACK}
assert before == (torch.get_num_threads(), cv2.getNumThreads(), numpy.get_printoptions())
assert 'OMP_NUM_THREADS' not in os.environ
"""
    subprocess.run([sys.executable, '-c', script], check=True, cwd=REPOSITORY)


TRACK = """
import importlib.util
from ivif_ros.detection import load_tracker
from ivif_ros.parameters import DetectionParameters
if importlib.util.find_spec('lap') is not None:
    load_tracker(DetectionParameters(track='botsort'))
"""

NO_NETWORK = """
import os, socket, subprocess, sys

def refuse(*args, **kwargs):
    print('NETWORK', args, file=sys.stderr)
    os._exit(9)

socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
run = subprocess.Popen.__init__

def only_local(self, args, *rest, **kwargs):
    words = [args] if isinstance(args, str) else list(map(str, args))
    if {'pip', 'uv', 'curl', 'wget'} & {os.path.basename(word) for word in words}:
        refuse(words)
    return run(self, args, *rest, **kwargs)

subprocess.Popen.__init__ = only_local
import numpy
from ivif_ros.detection import load_detector
from ivif_ros.parameters import DetectionParameters

for weights in sys.argv[1:]:
    detector = load_detector(DetectionParameters(weights=weights), 'cpu')
    detector.detect(numpy.zeros((64, 64, 3), numpy.uint8))
    detector.close()
""" + TRACK


@needs_ultralytics
def test_nothing_is_asked_of_or_sent_to_the_network(untrained, tmp_path, request):
    weights = [untrained]
    shared = Path(os.environ.get('IVIF_WEIGHTS', REPOSITORY.parent / 'shared' / 'weights'))
    for name, package in ((ONNX, 'onnxruntime'), (OPENVINO, 'openvino')):
        if (shared / name).exists() and importlib.util.find_spec(package):
            weights.append(shared / name)
    # As an ordinary first run: no settings from earlier, and not inside a test or a build server,
    # where the packages are silent by themselves.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('CI', 'GITHUB_ACTIONS', 'PYTEST_CURRENT_TEST')}
    environment.update(HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / 'config'),
                       XDG_CACHE_HOME=str(tmp_path / 'cache'))
    done = subprocess.run(
        [sys.executable, '-c', NO_NETWORK, *map(str, weights)], cwd=REPOSITORY, env=environment,
        capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ''
    left = [path.name for path in tmp_path.rglob('*') if path.is_file()]
    assert not [name for name in left if 'deviceid' in name or 'cid' in name], left


def test_real_boxes_lie_on_labelled_objects(trained, shared_data):
    folder = shared_data / 'roadscene'
    # Label class -> class name of the model; small objects are beyond these small models.
    names = {0: 'person', 2: 'car'}
    hits = dict.fromkeys(names, 0)
    objects = dict.fromkeys(names, 0)
    for labels in sorted((folder / 'labels').glob('*.txt'))[:20]:
        image = cv2.imread(str(folder / 'rgb' / f'{labels.stem}.jpg'))
        height, width = image.shape[:2]
        found = trained.detect(image)
        for line in labels.read_text().splitlines():
            kind, *box = (float(word) for word in line.split())
            cx, cy, w, h = np.array(box) * (width, height, width, height)
            if int(kind) not in names or h < 40:
                continue
            objects[int(kind)] += 1
            truth = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
            hits[int(kind)] += any(
                iou(truth, other) > 0.5 and trained.names[class_id] == names[int(kind)]
                for other, class_id in zip(found.boxes, found.class_ids, strict=True))
    assert objects[2] >= 10, 'too few labels for a verdict'
    assert hits[2] >= 0.7 * objects[2], (hits, objects)
    assert hits[0] >= 0.5 * objects[0], (hits, objects)


def iou(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (sum(areas) - common)


def test_an_export_fixes_its_input_size(trained, shared_data):
    assert trained.image_size == [640, 640]
    image = cv2.imread(str(sorted((shared_data / 'llvip' / 'rgb').iterdir())[1]))
    found = trained.detect(image)
    people = found.boxes[found.class_ids == 0]
    assert len(people)
    assert people[:, 2].max() > 640, 'boxes are not in pixels of the image'


@needs_ultralytics
def test_exports_take_the_size_they_were_made_for(shared_weights):
    pytest.importorskip('onnxruntime')
    detector = load(shared_weights / ONNX, image_size=320)
    assert detector.image_size == [640, 640]
    detector.warm_up((320, 240))
    detector.close()


@needs_ultralytics
def test_code_in_weights_is_refused_where_ultralytics_was_imported_before(tmp_path):
    (tmp_path / 'bad.pt').write_bytes(b'no weights')
    script = f"""
import ultralytics.nn.tasks
from ultralytics import utils
from ivif_ros.detection import load_detector
from ivif_ros.errors import WeightsError
from ivif_ros.parameters import DetectionParameters
if hasattr(utils, 'SAFE_LOAD'):
    assert not ultralytics.nn.tasks.SAFE_LOAD
    try:
        load_detector(DetectionParameters(weights={str(tmp_path / 'bad.pt')!r}), 'cpu')
    except WeightsError:
        pass
    assert ultralytics.nn.tasks.SAFE_LOAD
"""
    environment = {key: value for key, value in os.environ.items()
                   if key != 'ULTRALYTICS_SAFE_LOAD'}
    subprocess.run([sys.executable, '-c', script], check=True, env=environment)
