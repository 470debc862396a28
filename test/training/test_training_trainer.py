# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Steps of training against hand-made ones; runs that are repeated, interrupted or distributed."""

import dataclasses
import math
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import training_toy
from torch import nn

from ivif_ros.errors import IvifError, ParameterError, SourceError
from ivif_ros.fusion.networks import NETWORKS
from ivif_ros.metrics import fusion as metrics
from ivif_ros.training import trainer
from ivif_ros.training.batch import Batch
from ivif_ros.training.checkpoint import load_state
from ivif_ros.training.data.loader import make_loader
from ivif_ros.training.data.pairs import whole_pairs
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.distributed import Processes
from ivif_ros.training.learner import Learner
from ivif_ros.training.objective import FusionObjective, Objective
from ivif_ros.training.recipe_fusion import FusionRecipe
from ivif_ros.training.trainer import RunOptions, train
from ivif_ros.training.validate_fusion import FusionValidation

RECIPE = training_toy.RECIPE
REPOSITORY = Path(__file__).resolve().parents[2]
TOYS = {'toy': 'training_toy:Toy', 'gain': 'test_training_trainer:Gain'}


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    return training_toy.make_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    for name, network in TOYS.items():
        monkeypatch.setitem(NETWORKS, name, network)


class Gain(nn.Module):
    """fused = gain * visible."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, visible, thermal, weight=None):
        return self.gain * visible


def run(data, out, recipe=RECIPE, **options):
    return train(recipe, RunOptions(data, out, device='cpu', **options))


def learner_of(recipe, seed=0, **options):
    return Learner(recipe, Processes('cpu'), seed, **options)


def batch_of(visible, thermal, then=None):
    v, t = (torch.full((1, 1, 8, 8), value) for value in (visible, thermal))
    return Batch(v, t, v.clone(), t.clone(), then)


def assert_same(a, b, path=''):
    """Compare nested states bit for bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f'{path}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f'{path}[{index}]')
    else:
        assert a == b, path


def learned(folder):
    state = load_state(folder / 'last.pt')
    return {key: state[key] for key in ('objective', 'optimizers', 'average', 'updates')}


# --- whole runs


@pytest.fixture
def finished(data, tmp_path):
    run(data, tmp_path / 'finished')
    return tmp_path / 'finished'


def test_same_seed_gives_the_same_weights_another_seed_others(data, finished, tmp_path):
    run(data, tmp_path / 'again', workers=2)
    assert_same(learned(tmp_path / 'again'), learned(finished))
    run(data, tmp_path / 'other', seed=1)
    with pytest.raises(AssertionError):
        assert_same(learned(tmp_path / 'other'), learned(finished))


def test_a_run_that_was_interrupted_equals_one_that_was_not(
        data, finished, tmp_path, monkeypatch):
    step = Learner.step

    def interrupted(self, batch, number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, number)

    monkeypatch.setattr(Learner, 'step', interrupted)
    part = tmp_path / 'part'
    first = run(data, part)
    monkeypatch.setattr(Learner, 'step', step)
    assert (first.step, first.signal) == (3, signal.SIGTERM)
    assert not (part / 'best.pt').exists()
    torch.rand(7)  # what is drawn between the parts must not matter
    second = run(data, part, resume=True)
    assert (second.step, second.signal) == (6, 0)
    assert_same(learned(part), learned(finished))
    rows = [(folder / 'validation.csv').read_text() for folder in (part, finished)]
    assert rows[0] == rows[1]
    assert rows[0].count('\n') == 3
    weights = [torch.load(folder / 'best.pt', weights_only=True)
               for folder in (part, finished)]
    assert_same(weights[0], weights[1])


def test_the_weights_of_the_best_validation_are_kept(data, tmp_path):
    scores = iter((1.0, 3.0, 2.0))
    recipe = dataclasses.replace(RECIPE, validate_every=2, score=lambda m: next(scores))
    done = run(data, tmp_path, recipe)
    assert (done.best_step, done.best_score) == (4, 3.0)
    best = torch.load(tmp_path / 'best.pt', weights_only=True)
    assert best['training']['step'] == 4
    last = load_state(tmp_path / 'last.pt')
    name = 'layers.3.weight'
    assert not torch.equal(best['state'][name], last['average'][name])


def test_the_time_limit_saves_and_leaves_weights(data, tmp_path):
    done = run(data, tmp_path, minutes=1e-9)
    assert (done.step, done.signal, done.best_step) == (1, 0, 1)
    assert load_state(tmp_path / 'last.pt')['done']['step'] == 1
    assert run(data, tmp_path, resume=True).step == 6


def test_a_single_bad_step_is_skipped_and_counted(data, tmp_path, monkeypatch):
    class Bad(training_toy.ToyObjective):
        calls = 0

        def losses(self, batch, group):
            found = super().losses(batch, group)
            Bad.calls += group
            return {**found, 'content': found['content'] * math.nan} if (
                group and Bad.calls == 2) else found

    before = {}
    step = Learner.step

    def watched(self, batch, number):
        before[number] = {k: v.clone() for k, v in self.objective.network.named_parameters()}
        return step(self, batch, number)

    monkeypatch.setattr(Learner, 'step', watched)
    done = run(data, tmp_path, dataclasses.replace(RECIPE, objective=Bad))
    assert done.skipped == 1
    assert_same(before[1], before[2])
    assert not torch.equal(before[0]['layers.0.weight'], before[1]['layers.0.weight'])
    assert all(bool(torch.isfinite(value).all()) for value in learned(tmp_path)['average'].values())


def test_losses_that_stay_bad_end_the_run(data, tmp_path):
    class Bad(training_toy.ToyObjective):
        def losses(self, batch, group):
            return {name: loss / 0 for name, loss in super().losses(batch, group).items()}

    recipe = dataclasses.replace(RECIPE, objective=Bad, steps=100)
    with pytest.raises(IvifError, match=f'{trainer.SKIP_LIMIT} steps in a row.*discriminator'):
        run(data, tmp_path, recipe)


def test_signals_find_their_old_handlers_again(data, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run(data, tmp_path, minutes=1e-9)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_later_signal_does_not_wait_for_the_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(trainer.time, 'monotonic', lambda: now[0])
    with trainer._stop_request() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop == [signal.SIGINT]
        now[0] = trainer.IMPATIENCE_S + 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


# --- steps by hand


def test_adam_step_by_hand():
    """Gain 1, visible 0.5, thermal 0.1: |0.5 g - 0.1| has the gradient 0.5, clipped to 0.2."""
    recipe = FusionRecipe(
        name='gain', network='gain', objective=lambda network: FusionObjective(network, {
            'l1': (1.0, lambda fused, batch: (fused - batch.clean_thermal).abs().mean())}),
        learning_rate=0.1, warmup=3, clip_norm=0.2, schedule='constant', ema=0.5,
        betas=(0.8, 0.9), weight_decay=0.01)
    learner = learner_of(recipe)
    gain = mean = 1.0
    m = v = 0.0
    for step in range(5):
        losses, fine = learner.step(batch_of(0.5, 0.1), step)
        assert fine
        assert float(losses['l1']) == pytest.approx(abs(0.5 * gain - 0.1), abs=1e-6)
        gradient = 0.2
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient ** 2
        rate = 0.1 * min(1, (step + 1) / 4)
        gain -= rate * 0.01 * gain
        gain -= rate * (m / (1 - 0.8 ** (step + 1))) / (
            math.sqrt(v / (1 - 0.9 ** (step + 1))) + 1e-8)
        decay = min(0.5, (2 + step) / (11 + step))
        mean = decay * mean + (1 - decay) * gain
        assert learner.objective.network.gain.item() == pytest.approx(gain, abs=1e-5)
        assert learner.best_network.gain.item() == pytest.approx(mean, abs=1e-5)


def test_groups_step_in_their_order_and_on_their_own():
    class Two(Objective):
        """Group 0 moves d towards 0, group 1 the gain towards d; Adam starts with whole rates."""

        def __init__(self, network):
            super().__init__(network)
            self.d = nn.Parameter(torch.tensor(3.0))
            self.seen = []

        def groups(self):
            return [[self.d], [self.network.gain]]

        def losses(self, batch, group):
            self.seen.append(round(float(self.d.detach()), 4))
            return {'d': self.d ** 2} if group == 0 else {'n': (self.network.gain - self.d) ** 2}

    learner = learner_of(FusionRecipe(name='gain', network='gain', objective=Two, warmup=0,
                                      learning_rate=0.5, schedule='constant'))
    losses, _ = learner.step(batch_of(0.5, 0.5), 0)
    assert learner.objective.seen == [3.0, 2.5]
    assert float(losses['n']) == pytest.approx(1.5 ** 2)
    assert learner.objective.network.gain.item() == pytest.approx(1.5)
    assert learner.objective.d.item() == pytest.approx(2.5)


def test_groups_after_a_bad_one_do_not_step():
    class Two(Objective):
        def __init__(self, network):
            super().__init__(network)
            self.d = nn.Parameter(torch.tensor(3.0))

        def groups(self):
            return [[self.d], [self.network.gain]]

        def losses(self, batch, group):
            return {'d': self.d * math.inf} if group == 0 else {'n': self.network.gain ** 2}

    learner = learner_of(FusionRecipe(
        name='gain', network='gain', objective=Two, ema=0.5, warmup=0))
    losses, fine = learner.step(batch_of(0.5, 0.5), 0)
    assert not fine
    assert set(losses) == {'d'}
    assert [p.item() for p in learner.objective.parameters()] == [3.0, 1.0]
    assert learner.best_network.gain.item() == 1.0


def test_terms_are_weighed_and_temporal_ones_need_a_later_moment():
    batch = batch_of(0.5, 0.1)
    later = batch_of(0.75, 0.1)
    objective = FusionObjective(
        Gain(2.0), {'a': (3.0, lambda fused, b: fused.mean() - b.thermal.mean())},
        {'t': (10.0, lambda fused, then, b: (then - fused).mean())})
    assert {k: x.item() for k, x in objective.losses(batch, 0).items()} == {
        'a': pytest.approx(2.7)}
    both = objective.losses(dataclasses.replace(batch, then=later), 0)
    assert {k: x.item() for k, x in both.items()} == {
        'a': pytest.approx(2.7), 't': pytest.approx(5.0)}


def test_terms_that_are_modules_belong_to_the_objective():
    class Term(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('seen', torch.ones(2))

        def forward(self, fused, batch):
            return fused.mean()

    objective = FusionObjective(Gain(), {'a': (1.0, Term())})
    assert set(objective.state_dict()) == {'network.gain', 'term_a.seen'}
    assert [p.shape for p in objective.groups()[0]] == [torch.Size([])]
    with pytest.raises(ValueError, match='at least one'):
        FusionObjective(Gain(), {})


def test_schedule():
    recipe = dataclasses.replace(RECIPE, steps=110, warmup=10, learning_rate=2.0, final_rate=0.1)
    assert recipe.rate(0) == pytest.approx(2 / 11)
    assert recipe.rate(10) == pytest.approx(2.0)
    assert recipe.rate(60) == pytest.approx(1.1)  # halfway: mean of 2 and 0.2
    assert recipe.rate(110) == pytest.approx(0.2)
    constant = dataclasses.replace(recipe, schedule='constant')
    assert [constant.rate(k) for k in (10, 60, 109)] == [2.0, 2.0, 2.0]


def test_bfloat16_keeps_the_weights_in_float32_and_learns():
    def l1(fused, batch):
        assert fused.dtype == torch.float32
        return (fused - batch.clean_thermal).abs().mean()

    recipe = dataclasses.replace(RECIPE, learning_rate=0.05, objective=lambda network:
                                 FusionObjective(network, {'l1': (1.0, l1)}), ema=0.0)
    learner = learner_of(recipe, amp='bf16')
    weights = next(learner.objective.network.parameters())
    rng = torch.Generator().manual_seed(0)
    planes = [torch.rand(2, 1, 16, 16, generator=rng) for _ in range(2)]
    losses = [float(learner.step(Batch(*planes, *planes), step)[0]['l1']) for step in range(30)]
    assert weights.dtype == torch.float32
    assert losses[-1] < 0.8 * losses[0]
    exact = float(learner_of(recipe).step(Batch(*planes, *planes), 0)[0]['l1'])
    assert losses[0] == pytest.approx(exact, rel=0.02)
    assert losses[0] != exact


def test_half_precision_is_refused_on_the_cpu():
    with pytest.raises(ParameterError, match=r'fp16.*expected bf16'):
        learner_of(RECIPE, amp='fp16')


# --- validation, settings, data


def test_validation_measures_the_rounded_image(data):
    class Blend(nn.Module):
        def forward(self, visible, thermal, weight=None):
            assert not self.training
            return (visible + 2 * thermal) / 3

    network = Blend().train()
    validation = FusionValidation(data, (), 1)
    assert len(validation) == 1
    verdict = validation.judge(network, torch.device('cpu'))
    assert network.training
    (_, pair), *_ = whole_pairs(data, 'validation')
    fused = np.rint((pair.visible + 2.0 * pair.thermal) / 3).astype(np.uint8)
    exact = metrics.evaluate(fused, pair.thermal, pair.visible)
    assert {'EN', 'MI', 'VIF', 'Qabf', 'SSIM'} <= verdict.metrics.keys()
    assert verdict.metrics == {key: exact[key] for key in verdict.metrics}
    assert verdict.picture.shape == (400, 3 * 480)


def test_several_data_sets_are_also_reported_alone(tmp_path):
    training_toy.make_data(tmp_path, 0, 1, 'first')
    training_toy.make_data(tmp_path, 0, 2, 'second')
    verdict = FusionValidation(tmp_path, (), 5).judge(Gain(), torch.device('cpu'))
    en = [verdict.metrics[name] for name in ('EN', 'first/EN', 'second/EN')]
    assert en[0] == pytest.approx((en[1] + 2 * en[2]) / 3)
    assert verdict.picture.shape == (800, 3 * 480)


def test_data_without_validation_pairs_say_so(tmp_path):
    training_toy.make_data(tmp_path, 2, 0)
    with pytest.raises(SourceError, match='no still pairs of the validation split'):
        FusionValidation(tmp_path, (), 5)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_damaged_image_is_one_line(tmp_path, workers):
    training_toy.make_data(tmp_path / 'data', 1, 1)
    for path in (tmp_path / 'data' / 'pairs' / 'rgb').iterdir():
        if split_of('pairs', path.stem) == 'train':
            path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(SourceError, match=r"^image '[^\n]*' cannot be decoded[^\n]*$"):
        run(tmp_path / 'data', tmp_path / 'out', workers=workers)


def test_settings_by_name():
    recipe = RECIPE.changed(['steps=9', 'learning_rate=1', 'data.haze=0.5', 'config.channels=7',
                             'data.datasets=a,b', 'data.share.a=0.25', 'schedule=constant'])
    assert (recipe.steps, recipe.learning_rate, recipe.schedule) == (9, 1.0, 'constant')
    assert recipe.config == {'channels': 7}
    assert (recipe.data.haze, recipe.data.datasets, recipe.data.share) == (
        0.5, ('a', 'b'), {'a': 0.25})
    assert RECIPE.data.haze != 0.5


@pytest.mark.parametrize(('setting', 'message'), [
    ('stebs=3', "unknown setting 'stebs'.*did you mean 'steps'"),
    ('data.hase=3', "unknown setting 'data.hase'.*did you mean 'haze'"),
    ('steps=many', "'steps' is 'many', expected int"),
    ('steps=0', 'steps is 0, expected 1 or more'),
    ('data=3', "'data' is a group"),
    ('steps.x=3', "'steps.x' is a plain value"),
    ('schedule=linear', "schedule is 'linear', expected one of cosine, constant"),
    ('steps', 'expected NAME=VALUE'),
    ('data.haze=2', 'expected 0 to 1'),
])
def test_settings_that_are_wrong(setting, message):
    with pytest.raises(ParameterError, match=message):
        RECIPE.changed([setting])


def test_batches_check_their_planes():
    plane = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r'thermal is \(1, 1, 4, 5\)'):
        Batch(plane, torch.zeros(1, 1, 4, 5), plane, plane)


# --- several processes

DRIVER = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import test_training_trainer as tests
from ivif_ros.fusion.networks import NETWORKS
from ivif_ros.training import trainer

NETWORKS.update(tests.TOYS)
learners = []

class Kept(trainer.Learner):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        learners.append(self)

trainer.Learner = Kept
data, out = Path(sys.argv[1]), Path(sys.argv[2])
# One group for both runs: a second one at the same port may meet the first while it is leaving.
torch.distributed.init_process_group('gloo')
tests.run(data, out / 'toy')
tests.run(data, out / 'plain', tests.plain_recipe())
torch.save([learner.state() for learner in learners], out / f'rank{os.environ["RANK"]}.pt')
torch.distributed.destroy_process_group()
"""


def plain_recipe():
    """Without batch norm statistics or random numbers, so that one process can do the same."""
    return dataclasses.replace(
        RECIPE, network='gain', steps=3, validate_every=9, ema=0.0, batch_size=4, clip_norm=0.05,
        objective=lambda network: FusionObjective(network, {
            'l2': (1.0, lambda fused, batch: ((fused - batch.clean_thermal) ** 2).mean())}))


def test_two_processes_hold_the_same_weights(data, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    environment = {**os.environ, 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1',
                   'MASTER_PORT': str(port), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(
                       (str(REPOSITORY), str(REPOSITORY / 'test/training')))}
    processes = [subprocess.Popen(
        [sys.executable, '-c', DRIVER, str(data), str(tmp_path)], text=True, cwd=tmp_path,
        stderr=subprocess.PIPE, env={**environment, 'RANK': str(rank), 'LOCAL_RANK': str(rank)})
        for rank in range(2)]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in range(2))
    for name in ('objective', 'average'):
        for key, value in first[0][name].items():
            if 'running' not in key and 'num_batches' not in key:
                assert torch.equal(value, second[0][name][key]), key
    # One process with both halves of each batch does the same steps: the mean of the gradients.
    recipe = plain_recipe()
    alone = learner_of(recipe)
    halves = [make_loader(recipe.data, data, 'train', 2, recipe.crop, 0, 0, rank, 2)
              for rank in range(2)]
    for step in range(recipe.steps):
        a, b = (next(half) for half in halves)
        planes = [torch.cat((getattr(a, f.name), getattr(b, f.name)))
                  for f in dataclasses.fields(Batch) if f.name != 'then']
        alone.step(Batch(*planes), step)
    for state in (first, second):
        assert float(state[1]['objective']['network.gain']) == pytest.approx(
            alone.objective.network.gain.item(), abs=1e-6)
    assert alone.objective.network.gain.item() != 1.0
