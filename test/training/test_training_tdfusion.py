# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TDFusion: second derivatives against finite differences, what learns when, whole runs."""

import dataclasses

import numpy as np
import pytest
import torch
import training_toy
from torch import nn
from torch.func import functional_call

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.engine import LUMA
from ivif_ros.fusion.engine import recolour as engine_recolour
from ivif_ros.fusion.networks import NETWORKS, build
from ivif_ros.training.batch import Batch
from ivif_ros.training.checkpoint import load_state
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.meta import Epoch
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.distributed import Processes
from ivif_ros.training.labelled_batch import LabelledBatch, MetaBatch, Targets
from ivif_ros.training.learner import Learner
from ivif_ros.training.loss_generator import LossGenerator, fusion_losses
from ivif_ros.training.losses.filters import gradient_magnitude
from ivif_ros.training.recipe_fusion import FusionRecipe
from ivif_ros.training.recipe_tdfusion import TDFusionRecipe
from ivif_ros.training.recipes import load_recipe
from ivif_ros.training.tasks import TASKS
from ivif_ros.training.tasks.base import TaskNetwork
from ivif_ros.training.tdfusion import TDFusionObjective, descend, recolour
from ivif_ros.training.trainer import RunOptions, train

SIDE = 16


class Blend(nn.Module):
    """Smooth and small: two convolutions on both sources."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 1))

    def forward(self, visible, thermal, weight=None):
        return (visible + thermal) / 2 + 0.1 * self.layers(torch.cat((visible, thermal), 1))


class Contrast(TaskNetwork):
    """Wants what is in the boxes to be brighter than the rest, in a learned mixture of channels."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.mix.weight, 0.3)
        self.norm = nn.BatchNorm2d(1, affine=False)

    def loss(self, images, targets):
        inside = torch.zeros_like(images[:, :1])
        for (x0, y0, x1, y1), image in zip(
                targets.boxes.round().long().tolist(), targets.image_ids.tolist(), strict=True):
            inside[image, :, y0:y1, x0:x1] = 1
        seen = self.mix(images)
        self.norm(seen)
        contrast = seen.mean() - (seen * (1 - inside)).sum() / (1 - inside).sum()
        return (1 - contrast) ** 2


@pytest.fixture(autouse=True)
def _toys(monkeypatch):
    monkeypatch.setitem(NETWORKS, 'blend', 'test_training_tdfusion:Blend')
    monkeypatch.setitem(NETWORKS, 'toy', 'training_toy:Toy')
    monkeypatch.setitem(TASKS, 'contrast', 'test_training_tdfusion:Contrast')


def labelled(seed, dtype=torch.float64, n=2):
    """A warm square, which the visible image does not show, and a lamp, which is not warm."""
    rng = torch.Generator().manual_seed(seed)
    colour = 0.3 + 0.2 * torch.rand(n, 3, SIDE, SIDE, generator=rng, dtype=dtype)
    thermal = 0.3 + 0.2 * torch.rand(n, 1, SIDE, SIDE, generator=rng, dtype=dtype)
    rows = torch.randint(0, SIDE - 6, (n, 2), generator=rng).tolist()
    boxes = []
    for image, (warm, lamp) in enumerate(rows):
        thermal[image, :, warm:warm + 6, :6] = 0.95
        colour[image, :, lamp:lamp + 6, -6:] = 0.95
        boxes += [[0, warm, 6, warm + 6], [SIDE - 6, lamp, SIDE, lamp + 6]]
    luma = (colour * torch.tensor(LUMA[::-1], dtype=dtype).view(1, 3, 1, 1)).sum(1, keepdim=True)
    targets = Targets(torch.tensor(boxes).float(), torch.zeros(2 * n, dtype=torch.int64),
                      torch.arange(n).repeat_interleave(2))
    return LabelledBatch(Batch(luma, thermal, luma, thermal), colour, targets)


def objective_of(network=None, **options):
    torch.manual_seed(0)
    generator = LossGenerator(width=8, blocks=1, heads=2)
    nn.init.normal_(generator.head.weight, 0, 0.5)
    return TDFusionObjective(network or Blend(), Contrast(), generator, **options)


# --- the inner and the outer step


@pytest.mark.parametrize('network', [None, 'learned_pyramid', 'restormer'])
def test_outer_gradient_equals_finite_differences(network):
    """d L_t(F'(g)) / dg through the inner step, along three random directions in g."""
    torch.manual_seed(1)
    chosen = network and build(network)
    if network == 'learned_pyramid':    # fresh ones have heads of zeros
        for parameter in chosen.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    objective = objective_of(chosen, fusion_rate=0.3, task_rate=0.05).double()
    train, test = labelled(1), labelled(2)
    names, parameters = zip(*objective.generator.named_parameters(), strict=True)
    slopes = torch.autograd.grad(objective.outer_loss(train, test), parameters)
    assert dict(zip(names, slopes, strict=True))['head.weight'].abs().max() > 1e-9
    for seed in range(3):
        torch.manual_seed(seed)
        direction = [torch.randn_like(p) for p in parameters]
        step = 1e-4
        values = []
        for sign in (1, -1):
            for p, d in zip(parameters, direction, strict=True):
                p.data += sign * step * d
            values.append(float(objective.outer_loss(train, test).detach()))
            for p, d in zip(parameters, direction, strict=True):
                p.data -= sign * step * d
        numeric = (values[0] - values[1]) / (2 * step)
        exact = float(sum((s * d).sum() for s, d in zip(slopes, direction, strict=True)))
        assert exact == pytest.approx(numeric, rel=1e-4, abs=1e-13)


def test_outer_gradient_of_one_weight_by_hand():
    """F is a share s of thermal a against visible b, constant images: L_f = w (f - a)^2 + ...

    f = s a + (1 - s) b, d = a - b: dL_f/ds = 2 d (f - w a - (1 - w) b) = 2 d^2 (s - w), and
    s' = s - eta 2 d^2 (s - w). With L_t = (f' - 1)^2: dL_t/dw = 2 (f' - 1) d 2 eta d^2.
    """
    class Share(nn.Module):
        def __init__(self):
            super().__init__()
            self.share = nn.Parameter(torch.tensor(0.25, dtype=torch.float64))

        def forward(self, visible, thermal):
            return self.share * thermal + (1 - self.share) * visible

    class Bright(TaskNetwork):
        def __init__(self):
            super().__init__()
            self.offset = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def loss(self, images, targets):
            return ((images - 1) ** 2 + 0 * self.offset).mean()

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.6, dtype=torch.float64))

        def forward(self, thermal, visible):
            return self.weight.expand_as(thermal), 1 - self.weight.expand_as(thermal)

    a, b, w, s, eta = 0.75, 0.25, 0.6, 0.25, 0.5
    planes = [torch.full((1, 1, 8, 8), x, dtype=torch.float64) for x in (b, a)]
    none = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
    batch = LabelledBatch(Batch(*planes, *planes), planes[0].expand(1, 3, 8, 8), none)
    objective = TDFusionObjective(Share(), Bright(), Fixed(), fusion_rate=eta)
    loss = objective.outer_loss(batch, batch)
    d = a - b
    ahead = s - eta * 2 * d * d * (s - w)
    fused = ahead * a + (1 - ahead) * b
    assert float(loss.detach()) == pytest.approx((fused - 1) ** 2)
    (slope,) = torch.autograd.grad(loss, list(objective.generator.parameters()))
    assert float(slope) == pytest.approx(2 * (fused - 1) * d * 2 * eta * d * d)


def test_a_meta_step_asks_the_task_after_its_own_step():
    """With eta_f = 0 what is left is one step of gradient descent of T, on the meta-train batch."""
    objective = objective_of(fusion_rate=0.0, task_rate=0.5).double()
    train, test = labelled(1), labelled(2)
    task = objective.task
    fused = [objective.network(b.planes.visible, b.planes.thermal).detach() for b in (train, test)]
    slopes = torch.autograd.grad(task(recolour(train, fused[0]), train.targets),
                                 list(task.parameters()))
    learned = {name: p - 0.5 * slope for (name, p), slope in
               zip(task.named_parameters(), slopes, strict=True)}
    buffers = {name: buffer.clone() for name, buffer in task.named_buffers()}
    expected = functional_call(task, {**buffers, **learned},
                               (recolour(test, fused[1]), test.targets))
    outer = objective.outer_loss(train, test)
    assert float(outer.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    slopes = torch.autograd.grad(outer, list(objective.generator.parameters()))
    assert all(not slope.any() for slope in slopes)


def test_descend_leaves_what_the_loss_does_not_see():
    seen, unseen = (torch.tensor(2.0, requires_grad=True) for _ in range(2))
    after = descend({'seen': seen, 'unseen': unseen}, seen ** 3, 0.1)
    assert {name: float(p) for name, p in after.items()} == {
        'seen': pytest.approx(0.8), 'unseen': 2.0}
    assert not any(p.requires_grad for p in after.values())


# --- who learns when


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, module):
    return {name for name, value in module.state_dict().items()
            if not torch.equal(value, before[name])}


def test_a_meta_step_changes_the_generator_only_and_a_fusion_step_all_others():
    recipe = FusionRecipe(name='x', network='blend', objective=objective_of, learning_rate=0.01,
                          warmup=0, schedule='constant', weight_decay=0.1)
    learner = Learner(recipe, Processes('cpu'), 0)
    objective = learner.objective
    train, test = labelled(1, torch.float32), labelled(2, torch.float32)
    # Fusion steps first: a resting optimiser with momentum must not move its parameters either.
    for step, batch, moving in ((0, MetaBatch(train), ('network', 'task')),
                                (1, MetaBatch(train, test), ('generator',)),
                                (2, MetaBatch(train), ('network', 'task')),
                                (3, MetaBatch(train, test), ('generator',))):
        before = snapshot(objective)
        losses, fine = learner.step(batch, step)
        assert fine
        assert {name.partition('.')[0] for name in changed(before, objective)} == set(moving)
        assert set(losses) == ({'task_ahead'} if batch.test else {'intensity', 'gradient', 'task'})


def test_the_fusion_network_never_hears_the_task():
    objective = objective_of().float()
    batch = MetaBatch(labelled(1, torch.float32))
    loss = sum(objective.losses(batch, 2).values())
    loss.backward()
    assert all(p.grad is None for p in objective.network.parameters())
    assert all(p.grad is None for p in objective.generator.parameters())
    assert all(p.grad is not None for p in objective.task.parameters())


def test_a_fresh_generator_says_one_half_and_the_loss_is_the_fixed_one():
    torch.manual_seed(0)
    generator = LossGenerator()
    batch = labelled(1, torch.float32)
    a, b = generator(batch.planes.thermal, batch.planes.visible)
    assert torch.equal(a, torch.full_like(a, 0.5))
    assert torch.equal(a, b)
    fused = batch.planes.visible
    found = fusion_losses(fused, batch.planes, a.detach(), 2.0)
    t, v = batch.planes.thermal, batch.planes.visible
    assert float(found['intensity']) == pytest.approx(float(((t - v) ** 2).mean() / 2))
    target = torch.maximum(gradient_magnitude(t), gradient_magnitude(v))
    expected = 2 * (gradient_magnitude(v) - target).abs().mean()
    assert float(found['gradient']) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('size', [(16, 16), (33, 47), (5, 9)])
def test_weights_sum_to_one_at_every_pixel(size):
    generator = objective_of().generator
    thermal, visible = torch.rand(2, 2, 1, *size)
    a, b = generator(thermal, visible)
    assert a.shape == b.shape == visible.shape
    assert torch.allclose(a + b, torch.ones_like(a), atol=1e-6)
    assert float(a.detach().std()) > 0.01


def test_the_generator_learns_what_serves_the_task():
    """What makes the boxes bright is asked for: thermal at warm squares, visible at lamps."""
    torch.manual_seed(0)
    objective = TDFusionObjective(Blend(), Contrast(), LossGenerator(width=8, blocks=1, heads=2),
                                  fusion_rate=1.0, task_rate=0.01)
    recipe = FusionRecipe(name='x', network='blend', objective=lambda network: objective,
                          learning_rate=0.003, warmup=0, schedule='constant')
    learner = Learner(recipe, Processes('cpu'), 0)
    for step in range(80):
        test = labelled(1000 + step, torch.float32) if step % 2 else None
        learner.step(MetaBatch(labelled(step, torch.float32), test), step)
    unseen = labelled(5000, torch.float32, 8)
    with torch.no_grad():
        weight, _ = objective.generator(unseen.planes.thermal, unseen.planes.visible)
    assert float(weight[unseen.planes.thermal > 0.9].mean()) > 0.9
    assert float(weight[unseen.planes.visible > 0.9].mean()) < 0.1


def test_half_precision_steps_stay_near_exact_ones():
    train, test = labelled(1, torch.float32), labelled(2, torch.float32)
    found = []
    for amp in (False, True):
        objective = objective_of()
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            found.append([{**objective.losses(MetaBatch(train, test), 0),
                           **objective.losses(MetaBatch(train), 1),
                           **objective.losses(MetaBatch(train), 2)}])
    for name, value in found[0][0].items():
        assert float(found[1][0][name].detach()) == pytest.approx(
            float(value.detach()), rel=0.05), name
    assert torch.equal(found[1][0]['task_ahead'], found[0][0]['task_ahead'])


def test_recolour_is_that_of_the_engine():
    rng = np.random.default_rng(0)
    bgr = torch.from_numpy(rng.uniform(0, 1, (3, 20, 30)).astype(np.float32))
    bgr[:, :4] = 0
    bgr[:, 4:6] = 1
    fused = torch.from_numpy(rng.uniform(-0.1, 1.1, (20, 30)).astype(np.float32))
    luma = (bgr * torch.tensor(LUMA).view(3, 1, 1)).sum(0)
    expected = engine_recolour(255 * bgr, luma, fused, Arena(torch.device('cpu'))) / 255
    plane = luma[None, None]
    batch = LabelledBatch(Batch(plane, plane, plane, plane), bgr.flip(0)[None],
                          labelled(0).targets)
    got = recolour(batch, fused[None, None])[0].flip(0)
    assert float((got - expected).abs().max()) < 1e-5


# --- whole runs


RECIPE = TDFusionRecipe(
    name='tdfusion', network='toy', task='contrast', steps=7, batch_size=2, crop=32,
    epoch=Epoch(2, 2), learning_rate=0.01, schedule='constant', warmup=0, validate_every=4,
    validation_pairs=2, generator_config={'width': 8, 'blocks': 1, 'heads': 2},
    data=DataConfig(cache_mb=10))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = training_toy.make_data(tmp_path_factory.mktemp('data'))
    (root / 'pairs' / 'labels').mkdir()
    for path in (root / 'pairs' / 'rgb').iterdir():
        text = '0 0.5 0.5 0.25 0.5\n2 0.2 0.3 0.1 0.2\n' if int(path.stem) % 3 else ''
        (root / 'pairs' / 'labels' / f'{path.stem}.txt').write_text(text)
    return root


def test_a_run_in_two_parts_equals_one(data, tmp_path):
    whole = train(RECIPE, RunOptions(data, tmp_path / 'whole', device='cpu', workers=1))
    assert whole.skipped == 0
    part = RunOptions(data, tmp_path / 'parts', device='cpu')
    train(dataclasses.replace(RECIPE, steps=3), part)
    train(RECIPE, dataclasses.replace(part, resume=True))
    states = [load_state(tmp_path / name / 'last.pt')['objective'] for name in ('whole', 'parts')]
    assert {name.partition('.')[0] for name in states[0]} == {'network', 'task', 'generator'}
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    rows = (tmp_path / 'whole' / 'validation.csv').read_text().splitlines()
    header, first = rows[0].split(','), rows[1].split(',')
    assert float(first[header.index('score')]) == -float(first[header.index('task')])
    best = torch.load(tmp_path / 'whole' / 'best.pt', weights_only=True)
    assert best['network'] == 'toy'
    assert best['training']['settings']['epoch'] == {'meta_steps': 2, 'fusion_steps': 2}


def test_the_picture_shows_the_weights(data):
    torch.manual_seed(0)
    objective = RECIPE.objective(RECIPE.build())
    validation = RECIPE.validation(data, objective)
    assert len(validation) == sum(
        split_of('pairs', path.stem) == 'validation' for path in (data / 'pairs/rgb').iterdir())
    verdict = validation.judge(objective.network, torch.device('cpu'))
    assert {'task', 'VIF'} <= verdict.metrics.keys()
    height = verdict.picture.shape[0] // 2
    weights = verdict.picture[height:, 480:960]
    assert weights.min() == weights.max() == 128    # a fresh generator says 1/2
    assert objective.task.training
    assert objective.generator.training


def test_the_recipe_of_the_package_takes_other_networks_and_settings():
    recipe = load_recipe('tdfusion').changed(
        ['network=restormer', 'task=segmentation', 'data.simulated=1.0', 'epoch.meta_steps=3',
         'generator_config.width=8', 'task_config.width=8', 'alpha=2', 'labels=/tmp/labels'])
    objective = recipe.objective(recipe.build())
    assert type(objective.network).__name__ == 'Restormer'
    assert type(objective.task).__name__ == 'Segmenter'
    assert recipe.settings()['epoch'] == {'meta_steps': 3, 'fusion_steps': 400}
    assert 'objective' not in recipe.settings()


@pytest.mark.parametrize(('settings', 'message'), [
    (['task=detektion'], "unknown task 'detektion', expected one of detection, segmentation"),
    (['task=segmentation'], 'data.simulated is 0.0, expected 1'),
    (['task=segmentation', 'data.simulated=1.0', 'crop=40'], 'expected a multiple of 16'),
    (['task=segmentation', 'data.simulated=1.0', 'task_config.depth=3'], 'depth'),
    (['task=segmentation', 'data.simulated=1.0', 'generator_config.width=9'],
     'loss generator does not take'),
    (['data.share.msrs=0.5'], 'data.share'),
    (['epoch.fusion_steps=0'], 'epoch.fusion_steps is 0, expected 1 or more'),
    (['inner_fusion_rate=-1'], 'inner_fusion_rate is -1.0, expected 0 or more'),
])
def test_settings_that_cannot_be_trained_with(settings, message):
    def use():
        load_recipe('tdfusion').changed(settings).objective(Blend())

    with pytest.raises(ParameterError, match=message):
        use()
