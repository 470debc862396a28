# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Task networks: their losses, that calling them with other parameters leaves them alone, files."""

import importlib.util
import sys

import pytest
import torch
from torch.func import functional_call

from ivif_ros.errors import MissingDependencyError, ParameterError, WeightsError
from ivif_ros.training.labelled_batch import Targets
from ivif_ros.training.tasks import TASKS, build_task

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec('ultralytics') is None, reason='ultralytics is not installed')
NONE = Targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64),
               torch.zeros(0, dtype=torch.int64))


def targets_of(n=2, size=64):
    """A car in the first image."""
    class_map = torch.full((n, size, size), -1)
    class_map[0, 8:40, 16:48] = 2
    return Targets(torch.tensor([[16.0, 8.0, 48.0, 40.0]]), torch.tensor([2]), torch.tensor([0]),
                   class_map)


@pytest.fixture(params=[pytest.param('detection', marks=needs_ultralytics), 'segmentation'])
def task(request):
    torch.manual_seed(0)
    return build_task(request.param).train()


def test_the_loss_is_differentiable_in_images_and_parameters(task):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = task(images, targets_of())
    assert loss.shape == ()
    loss.backward()
    assert float(images.grad.abs().sum()) > 0
    learning = [p for p in task.parameters() if p.requires_grad]
    assert sum(p.grad is not None and bool(p.grad.any()) for p in learning) > 0.8 * len(learning)


def test_a_call_with_other_parameters_changes_nothing(task):
    before = {name: value.clone() for name, value in task.state_dict().items()}
    others = {name: p.detach() + 0.01 for name, p in task.named_parameters()}
    copies = {name: buffer.clone() for name, buffer in task.named_buffers()}
    images = torch.rand(2, 3, 64, 64)
    ahead = functional_call(task, {**copies, **others}, (images, targets_of()))
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert float(ahead.detach()) != pytest.approx(float(task(images, targets_of()).detach()), 1e-4)


def test_the_task_can_be_asked_without_learning(task):
    """In eval mode the loss depends on the images of a batch one by one, and no buffer changes."""
    images = torch.rand(2, 3, 64, 64)
    task(images, targets_of())    # ultralytics' normalisation needs statistics to be of use
    task.eval()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    with torch.no_grad():
        first = task(images, targets_of())
        assert torch.equal(first, task(images, targets_of()))
    assert torch.isfinite(first)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def test_images_without_objects_have_a_loss(task):
    targets = NONE._replace(class_map=torch.full((2, 64, 64), -1))
    loss = task(torch.rand(2, 3, 64, 64), targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert float(loss.detach()) > 0


# --- segmentation


def test_segmentation_finds_what_it_has_learned():
    torch.manual_seed(0)
    task = build_task('segmentation')
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.2
    images[0, :, 8:40, 16:48] += 0.7
    optimizer = torch.optim.Adam(task.parameters(), 0.01)
    for _ in range(30):
        optimizer.zero_grad()
        task(images, targets_of()).backward()
        optimizer.step()
    found = task.scores(images).argmax(1)
    wanted = targets_of().class_map % 4    # the background is the last class
    assert float((found == wanted).float().mean()) > 0.95


def test_segmentation_weighs_objects_and_background():
    """Equal scores: cross entropy is log 4 whatever the weights are."""
    task = build_task('segmentation')
    torch.nn.init.zeros_(task.head.weight)
    torch.nn.init.zeros_(task.head.bias)
    loss = task(torch.rand(2, 3, 64, 64), targets_of())
    assert float(loss.detach()) == pytest.approx(1.3862944, rel=1e-5)
    task.head.bias.data[3] = 2.0    # background everywhere: objects are what is wrong
    objects = targets_of().class_map >= 0
    log_sum = torch.log(torch.tensor(3 + 7.389056))
    count, rest = 4 * objects.sum(), (~objects).sum()
    expected = (count * log_sum + rest * (log_sum - 2)) / (count + rest)
    assert float(task(torch.rand(2, 3, 64, 64), targets_of()).detach()) == pytest.approx(
        float(expected), rel=1e-5)


def test_segmentation_needs_class_maps():
    with pytest.raises(ValueError, match='no class map'):
        build_task('segmentation')(torch.rand(1, 3, 32, 32), NONE)


# --- detection


@needs_ultralytics
def test_the_classes_of_other_models_are_found_by_name(tmp_path):
    from ultralytics import YOLO

    model = YOLO('yolo11n.yaml', verbose=False).model
    model.names = {0: 'dog', 1: 'Car', 2: 'person', 3: 'bicycle'} | {
        k: f'c{k}' for k in range(4, 80)}
    torch.save({'model': model.half()}, tmp_path / 'coco.pt')
    task = build_task('detection', weights=str(tmp_path / 'coco.pt')).train()
    assert task.own_ids.tolist() == [2, 3, 1]
    assert next(task.parameters()).dtype == torch.float32
    images = torch.rand(1, 3, 64, 64)
    batch = {'img': images, 'cls': torch.tensor([1.0]), 'batch_idx': torch.tensor([0.0]),
             'bboxes': torch.tensor([[0.5, 0.375, 0.5, 0.5]])}
    task.eval()
    terms, _ = task.judge.network.loss(batch)
    loss = task(images, targets_of(1))
    assert float(loss.detach()) == pytest.approx(float(terms.sum().detach()), rel=1e-5)


@needs_ultralytics
def test_models_of_other_classes_are_refused(tmp_path):
    from ultralytics import YOLO

    model = YOLO('yolo11n.yaml', verbose=False).model
    model.names = {k: f'thing {k}' for k in range(80)}
    torch.save({'model': model.half()}, tmp_path / 'other.pt')
    with pytest.raises(WeightsError, match=r"do not know the class 'person'.*thing 0"):
        build_task('detection', weights=str(tmp_path / 'other.pt'))


@needs_ultralytics
def test_files_that_are_no_detectors(tmp_path):
    (tmp_path / 'broken.pt').write_bytes(b'no')
    for name, message in (('missing.pt', 'do not exist'), ('broken.pt', 'cannot be loaded')):
        with pytest.raises(WeightsError, match=message):
            build_task('detection', weights=str(tmp_path / name))


def test_missing_ultralytics_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ultralytics', None)
    with pytest.raises(MissingDependencyError, match='pip install ultralytics'):
        build_task('detection')


def test_tasks_that_are_not_known():
    with pytest.raises(ParameterError, match=f"unknown task 'depth'.*{next(iter(TASKS))}"):
        build_task('depth')
    with pytest.raises(ParameterError, match="'segmentation' does not take"):
        build_task('segmentation', width=7)
