# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of a run: whole or not at all, and what damaged or foreign ones say."""

import csv
import io

import pytest
import torch

from ivif_ros.errors import OutputError, ParameterError, WeightsError
from ivif_ros.training.checkpoint import RunFolder, load_state, save_state, write_atomically
from ivif_ros.training.logs import CsvLog, Progress, TensorBoard

SETTINGS = {'steps': 5, 'betas': [0.9, 0.99], 'data': {'haze': 0.5}}


def state(**changes):
    return {'method': 'toy', 'seed': 3, 'settings': SETTINGS, 'objective': {'a': torch.arange(3)},
            **changes}


def test_a_state_comes_back(tmp_path):
    save_state(tmp_path / 'last.pt', state(optimizers=[{'step': torch.tensor(2.5)}]))
    found = load_state(tmp_path / 'last.pt')
    assert torch.equal(found['objective']['a'], torch.tensor([0, 1, 2]))
    assert found['optimizers'][0]['step'] == 2.5
    assert [path.name for path in tmp_path.iterdir()] == ['last.pt']


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')

    def fail(part):
        part.write_text('ne')
        raise OSError(28, 'No space left on device')

    with pytest.raises(OutputError, match=r'file.*cannot be written.*No space left'):
        write_atomically(path, fail)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('keep', [0, 40, 500])
def test_a_truncated_state_is_refused(tmp_path, keep):
    save_state(tmp_path / 'last.pt', state())
    whole = (tmp_path / 'last.pt').read_bytes()
    assert len(whole) > 500
    (tmp_path / 'last.pt').write_bytes(whole[:keep])
    with pytest.raises(WeightsError, match=r'last.pt.*cannot be read'):
        load_state(tmp_path / 'last.pt')


def test_another_file_is_refused(tmp_path):
    torch.save({'format': 1, 'network': 'mini'}, tmp_path / 'last.pt')
    with pytest.raises(WeightsError, match='not the state of a training run'):
        load_state(tmp_path / 'last.pt')


def test_resuming_checks_method_seed_and_settings(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(WeightsError, match='no run to resume'):
        folder.load('toy', 3, SETTINGS)
    save_state(folder.last, state())
    assert folder.load('toy', 3, {**SETTINGS, 'steps': 9, 'betas': (0.9, 0.99)})['seed'] == 3
    with pytest.raises(ParameterError, match="holds a run of 'toy', not of 'mini'"):
        folder.load('mini', 3, SETTINGS)
    with pytest.raises(ParameterError, match=r'data\.haze was 0\.5 and is 0\.1; seed was 3 and is'):
        folder.load('toy', 4, {**SETTINGS, 'data': {'haze': 0.1}})


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    folder = RunFolder(tmp_path / 'a' / 'b')
    folder.check_free()
    assert not folder.path.exists()
    folder.make()
    (folder.path / 'nohup.out').touch()
    folder.check_free()
    folder.best.touch()
    with pytest.raises(OutputError, match=r"holds another run \('best.pt'\): add --resume"):
        folder.check_free()
    folder.make()
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='cannot be made'):
        RunFolder(tmp_path / 'file' / 'run').make()


def test_the_log_gets_columns_as_they_come_and_forgets_what_is_repeated(tmp_path):
    log = CsvLog(tmp_path / 'log.csv')
    log.add({'step': 20, 'loss': 1 / 3})
    log.add({'step': 40, 'loss': 2.0, 'temporal': 0.5})
    log.add({'step': 60, 'loss': 3.0})
    assert (tmp_path / 'log.csv').read_text().split() == [
        'step,loss,temporal', '20,0.333333,', '40,2,0.5', '60,3,']
    CsvLog(tmp_path / 'log.csv', 40).add({'step': 60, 'loss': 4.0, 'temporal': 1.0})
    with open(tmp_path / 'log.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['step'], row['loss']) for row in rows] == [
        ('20', '0.333333'), ('40', '2'), ('60', '4')]


def test_without_a_terminal_a_line_comes_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr('ivif_ros.training.logs.time.monotonic', lambda: now[0])
    stream = io.StringIO()
    progress = Progress('toy', 10, 40, every_s=30.0, stream=stream)
    for step in range(11, 31):
        now[0] += 6
        progress.show(step, f'loss {step}')
    progress.close()
    # 6 s a step: lines 30 s apart, and 25 steps are left at step 15.
    assert stream.getvalue().splitlines() == [
        'toy 15/40, about 2 min left, loss 15', 'toy 20/40, about 2 min left, loss 20',
        'toy 25/40, about 2 min left, loss 25', 'toy 30/40, about 1 min left, loss 30']


def test_on_a_terminal_a_bar_is_drawn_and_lines_go_above_it():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress('toy', 0, 40, stream=stream)
    progress.show(20, 'loss 0.5')
    progress.say('[a] validation')
    progress.close()
    assert '20/40' in stream.getvalue()
    assert '[a] validation' in stream.getvalue()


def test_tensorboard_gets_scalars(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    board.scalars('train', {'step': 20, 'loss': 0.25}, 20)
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars('train/loss')] == [(20, 0.25)]
    assert events.Tags()['scalars'] == ['train/loss']


def test_tensorboard_is_optional(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    board = TensorBoard(tmp_path / 'board')
    board.scalars('train', {'step': 20, 'loss': 0.25}, 20)
    board.close()
    assert not (tmp_path / 'board').exists()
