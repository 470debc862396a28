# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The command `python -m ivif_ros.training.fusion`: what it makes, says and refuses."""

import csv
import json
import os
import signal
import sys

import cv2
import pytest
import torch
import training_toy

from ivif_ros.fusion import weights
from ivif_ros.fusion.networks import NETWORKS
from ivif_ros.training import fusion
from ivif_ros.training.learner import Learner
from ivif_ros.training.recipe import Recipe
from ivif_ros.training.recipes import RECIPES, load_recipe


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return training_toy.make_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(NETWORKS, 'toy', 'training_toy:Toy')
    monkeypatch.setitem(RECIPES, 'toy', 'training_toy')
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.fixture
def call(capsys):
    """Call the command; returns exit status, stdout and stderr."""
    def run(*words):
        status = fusion.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err
    return run


def toy(data, out, *words):
    return ('toy', '--data', data, '--out', out, '--device', 'cpu', '--threads', 1, *words)


def test_a_run_makes_its_files_and_ships_its_weights(call, data, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, 'FOLDER', tmp_path / 'package')
    out = tmp_path / 'run'
    status, said, told = call(*toy(data, out, '--ship', '--minutes', 5, '--log-every', 2,
                                   '--set', 'config.channels=4', '--lr', 0.02))
    assert status == 0
    assert 'toy: 6 of 6 steps, best score' in said
    assert 'step 4: score' in told
    described = json.loads((out / 'run.json').read_text())
    command = (f'python -m ivif_ros.training.fusion toy --data {data} --out {out} --device cpu '
               '--threads 1 --log-every 2 --set config.channels=4 --lr 0.02')
    assert described['command'] == command
    assert described['settings']['learning_rate'] == 0.02
    with open(out / 'log.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['step'] for row in rows] == ['2', '4', '6']
    losses = ('discriminator', 'content', 'adversarial')
    assert float(rows[0]['loss']) == pytest.approx(sum(float(rows[0][n]) for n in losses), rel=1e-4)
    assert float(rows[0]['lr']) == pytest.approx(0.02)
    assert float(rows[0]['steps_per_s']) > 0
    with open(out / 'validation.csv', newline='') as file:
        verdicts = list(csv.DictReader(file))
    assert [row['step'] for row in verdicts] == ['4', '6']
    best = max(verdicts, key=lambda row: float(row['score']))
    assert cv2.imread(str(out / 'validation.png')).shape == (400, 1440, 3)
    assert any((out / 'tensorboard').iterdir())
    shipped = tmp_path / 'package' / 'toy.pt'
    assert shipped.read_bytes() == (out / 'best.pt').read_bytes()
    told = weights.read_weights(shipped)['training']
    assert told['command'] == command
    assert (told['step'], told['steps'], told['seed']) == (int(best['step']), 6, 0)
    assert told['metrics']['SSIM'] == pytest.approx(float(best['SSIM']), rel=1e-4)
    assert weights.load_network('toy').layers[0].out_channels == 4


def test_a_signal_ends_with_how_to_go_on(call, data, tmp_path, monkeypatch):
    step = Learner.step

    def interrupted(self, batch, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, number)

    monkeypatch.setattr(Learner, 'step', interrupted)
    words = toy(data, tmp_path, '--ship')
    status, said, _ = call(*words)
    assert status == 130
    assert 'toy: 2 of 6 steps, no validation yet' in said
    again = ' '.join(map(str, words))
    assert f'go on with: python -m ivif_ros.training.fusion {again} --resume\n' in said
    monkeypatch.setattr(Learner, 'step', step)
    status, said, _ = call(*toy(data, tmp_path, '--resume'))
    assert status == 0
    assert 'toy: 6 of 6 steps' in said


def test_a_finished_run_can_be_shipped_later_and_started_from(call, data, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, 'FOLDER', tmp_path / 'package')
    first, second = tmp_path / 'first', tmp_path / 'second'
    assert call(*toy(data, first))[0] == 0
    assert not (tmp_path / 'package').exists()
    monkeypatch.setattr(Recipe, 'SHIP_LIMIT_BYTES', 1000)
    status, _, err = call(*toy(data, first, '--resume', '--ship'))
    assert status == 2
    assert 'the package takes at most' in err
    monkeypatch.undo()
    monkeypatch.setitem(NETWORKS, 'toy', 'training_toy:Toy')
    monkeypatch.setitem(RECIPES, 'toy', 'training_toy')
    monkeypatch.setattr(weights, 'FOLDER', tmp_path / 'package')
    assert call(*toy(data, first, '--resume', '--ship'))[0] == 0
    assert (tmp_path / 'package' / 'toy.pt').is_file()
    # A learning rate of almost nothing leaves the weights where they start.
    assert call(*toy(data, second, '--init', first / 'best.pt', '--lr', 1e-12))[0] == 0
    a, b = (weights.read_weights(folder / 'best.pt')['state'] for folder in (first, second))
    assert torch.allclose(a['layers.0.weight'], b['layers.0.weight'], atol=1e-6)
    other = tmp_path / 'other.pt'
    torch.save({**weights.read_weights(first / 'best.pt'), 'network': 'mini'}, other)
    status, _, err = call(*toy(data, tmp_path / 'third', '--init', other))
    assert status == 2
    assert "belongs to fusion method 'mini', expected 'toy'" in err


def test_a_folder_that_holds_a_run(call, data, tmp_path):
    (tmp_path / 'last.pt').touch()
    status, _, err = call(*toy(data, tmp_path))
    assert status == 2
    assert err == (f"training: error: folder '{tmp_path}' holds another run ('last.pt'): add "
                   '--resume to go on with it, or choose another folder with --out\n')


@pytest.mark.parametrize(('words', 'message'), [
    (('toi',), "unknown method 'toi', expected one of"),
    (('toi',), "did you mean 'toy'?"),
    ((), 'no method is given'),
    (('toy',), '--data DIR is missing'),
    (('toy', '--data', 'x'), '--out DIR is missing'),
    (('toy', '--data', '/not/there', '--out', 'x'), "'/not/there' is not a folder"),
    (('toy', '--data', '.', '--out', 'x'), 'no folders rgb/ and thermal/'),
    (('toy', '--data', '.', '--out', 'x', '--device', 'gpu'), "device is 'gpu', expected auto"),
    (('toy', '--data', '.', '--out', 'x', '--seed', '-1'), 'seed is -1, expected 0 or more'),
    (('toy', '--data', '.', '--out', 'x', '--resume'), 'no run to resume'),
    (('toy', '--data', '.', '--out', 'x', '--set', 'a=1'), "unknown setting 'a'"),
    (('nothing.py',), "recipe file 'nothing.py' does not exist"),
])
def test_what_is_refused(call, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    words = [*words, '--data', '.', '--out', 'x'] if words[:1] in (
        ('toi',), ('nothing.py',)) else words
    status, _, err = call(*words)
    assert status == 2
    assert message in err
    assert err.startswith('training: error: ')
    assert err.count('\n') == 1


def test_list(call, monkeypatch):
    for name in set(RECIPES) - {'toy'}:
        monkeypatch.delitem(RECIPES, name)
    status, said, _ = call('--list')
    assert status == 0
    assert said.split('\n')[0].split()[:3] == ['toy', '6', 'steps']
    assert 'as small as they can be' in said


def test_a_recipe_from_a_file(tmp_path, monkeypatch):
    path = tmp_path / 'mine.py'
    path.write_text(training_toy.RECIPE_FILE)
    assert load_recipe(str(path)).name == 'toy'
    path.write_text('x = 1\n')
    from ivif_ros.errors import ParameterError
    with pytest.raises(ParameterError, match=r'mine.py.*no RECIPE'):
        load_recipe(str(path))


def test_the_command_for_several_processes(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '4')
    assert fusion.COMMAND.line(['toy', '--out', 'a b']) == (
        "torchrun --nproc-per-node 4 -m ivif_ros.training.fusion toy --out 'a b'")


def test_errors_of_later_processes_are_marked(call, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    assert call('toi')[2].startswith('training (process 1): error: ')


def test_importing_the_command_is_light():
    import subprocess
    script = ('import sys, ivif_ros.training.fusion; '
              'assert not {"torch", "cv2", "numpy"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', script], check=True)
