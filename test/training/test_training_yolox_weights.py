# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The start of the detector from YOLOX-nano."""

import copy
import sys

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import MissingDependencyError, WeightsError
from ivif_ros.metrics.detection import overlap

pytest.importorskip('ultralytics')
onnx = pytest.importorskip('onnx')
# ruff: noqa: E402
from ivif_ros.training.data.labelled_streets import labelled_instant
from ivif_ros.training.data.simulated import street_rig
from ivif_ros.training.detection_network import build_network, find_objects, start_from

SIDE = 416


@pytest.fixture(scope='module')
def yolox(shared_weights):
    path = shared_weights / 'yolox_nano_coco.onnx'
    if not path.is_file():
        pytest.skip(f'{path.name} is not there')
    return path


@pytest.fixture(scope='module')
def started(yolox):
    """Our network with the weights of YOLOX."""
    network = build_network()
    start_from(network, yolox)
    return network


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 255, (26, 26, 3)).astype(np.uint8)
    return cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def class_outputs(network, *images):
    """Logits of the classes, level by level."""
    found, hooks = [], []
    for tower in network.model[-1].cv3:
        hooks.append(tower[2].register_forward_hook(lambda layer, _, out: found.append(out)))
    planes = [torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()) for image in images]
    with torch.no_grad():
        network(torch.stack(planes).float() / 255)
    for hook in hooks:
        hook.remove()
    return found


def test_the_classes_come_out_as_its_own_runtime_gives_them(started, yolox, image):
    runtime = pytest.importorskip('onnxruntime')
    model = onnx.load(str(yolox))
    names = [node.output[0] for wanted in ('cls_preds', 'obj_preds') for node in model.graph.node
             if node.op_type == 'Conv' and wanted in node.input[1]]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    found = runtime.InferenceSession(model.SerializeToString()).run(
        names, {'images': image.transpose(2, 0, 1)[None].astype(np.float32)})
    network = copy.deepcopy(started).eval()
    for ours, label, known in zip(class_outputs(network, image), found[:3], found[3:],
                                  strict=True):
        np.testing.assert_allclose(ours[0].numpy(), (label[:, :3] + known)[0], atol=2e-3)
        assert label[0, :3].std() > 0.1
    # Training normalises by the batch: what comes out of streets is still what was learned.
    streets = [street_rig(seed).render_rgb(2.0) for seed in (1, 2)]
    expected = class_outputs(network, *streets)
    for ours, theirs in zip(class_outputs(network.train(), *streets), expected, strict=True):
        assert np.corrcoef(ours.numpy().ravel(), theirs.numpy().ravel())[0, 1] > 0.8


def test_boxes_fit_the_objects(started):
    pair = labelled_instant(street_rig(4), 1.0)
    found = find_objects(started.eval(), [pair.visible])[0]
    surest = [overlap(box[None], pair.boxes).max() for box in found.boxes[:5]]
    assert min(surest) > 0.6


def test_a_network_of_another_width_is_refused(yolox):
    with pytest.raises(WeightsError, match='is not a YOLOX-nano'):
        start_from(build_network(width=8), yolox)


def test_files_that_are_no_yolox_are_refused(tmp_path):
    network = build_network(width=8)
    with pytest.raises(WeightsError, match='do not exist'):
        start_from(network, tmp_path / 'gone.onnx')
    (tmp_path / 'noise.onnx').write_bytes(b'noise' * 50)
    with pytest.raises(WeightsError, match='cannot be read'):
        start_from(network, tmp_path / 'noise.onnx')
    weight = onnx.numpy_helper.from_array(np.zeros((8, 12, 3, 3), np.float32), 'w')
    bias = onnx.numpy_helper.from_array(np.zeros(8, np.float32), 'b')
    info = [onnx.helper.make_tensor_value_info(name, 1, None) for name in 'xy']
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Conv', ['x', 'w', 'b'], ['y'])], 'one', info[:1], info[1:],
        [weight, bias])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / 'one.onnx'))
    with pytest.raises(WeightsError, match='is not a YOLOX-nano'):
        start_from(network, tmp_path / 'one.onnx')


def test_missing_onnx_is_named_with_the_command_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(MissingDependencyError, match='pip install onnx'):
        start_from(build_network(width=8), tmp_path / 'any.onnx')
