# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, exit codes, errors."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ivif_ros import __version__
from ivif_ros.cli import console, main
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.errors import SourceError

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = {'torch', 'rclpy', 'numpy', 'cv2', 'yaml', 'rich', 'ultralytics', 'rosbags', 'matplotlib'}


def command(monkeypatch, run, **extra):
    """Put a sub-command `probe` into the table."""
    module = SimpleNamespace(add_arguments=lambda parser: parser.add_argument('--number', type=int),
                             run=run, __doc__='Probe.', **extra)
    monkeypatch.setitem(main.COMMANDS, 'probe', ('probe', 'probe'))
    monkeypatch.setitem(sys.modules, 'ivif_ros.cli.probe', module)


@pytest.mark.parametrize('word', ['--help', '--version'])
def test_help_and_version_import_nothing_heavy(word):
    script = ('import sys\nfrom ivif_ros.cli.main import main\n'
              f'try:\n    main([{word!r}])\nexcept SystemExit as end:\n    assert not end.code\n'
              f'print(sorted({HEAVY!r} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'
    if word == '--version':
        assert done.stdout.startswith(f'ivif {__version__}')
    else:
        assert all(name in done.stdout for name in main.COMMANDS)


@pytest.mark.parametrize('name', sorted(main.COMMANDS))
def test_each_command_has_help_without_torch_and_rclpy(name):
    script = ('import sys\nfrom ivif_ros.cli.main import main\n'
              f'try:\n    main([{name!r}, "--help"])\nexcept SystemExit as end:\n'
              '    assert not end.code\n'
              'print(sorted({"torch", "rclpy", "ultralytics"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'
    assert f'usage: ivif {name}' in done.stdout


@pytest.mark.parametrize('words', [[], ['dance'], ['fuse'], ['probe', '--numbr', '3']])
def test_wrong_arguments_end_with_two(monkeypatch, capsys, words):
    command(monkeypatch, lambda args: ExitCode.DONE)
    with pytest.raises(SystemExit) as end:
        main.main(words)
    assert end.value.code == ExitCode.FAILED
    assert 'error' in capsys.readouterr().err


def test_the_code_of_the_command_is_returned(monkeypatch):
    command(monkeypatch, lambda args: args.number)
    assert main.main(['probe', '--number', '1']) == 1


def test_expected_errors_are_one_line(monkeypatch, capsys):
    def run(args):
        raise SourceError("recording 'x' is not there")

    command(monkeypatch, run)
    assert main.main(['probe']) == ExitCode.FAILED
    assert capsys.readouterr().err == "ivif: error: recording 'x' is not there\n"


def test_defects_are_not_hidden(monkeypatch):
    def run(args):
        raise RuntimeError('defect')

    command(monkeypatch, run)
    with pytest.raises(RuntimeError, match='defect'):
        main.main(['probe'])


def test_interruption(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    command(monkeypatch, run)
    assert main.main(['probe']) == ExitCode.INTERRUPTED
    assert 'interrupted' in capsys.readouterr().err


def test_unknown_words_reach_commands_that_pass_them_on(monkeypatch):
    seen = []
    command(monkeypatch, lambda args: seen.extend(args.rest) or 0, PASSES_REST=True)
    assert main.main(['probe', '-r', 'a:=b', '--number', '3', '--log-level', 'debug']) == 0
    assert seen == ['-r', 'a:=b', '--log-level', 'debug']


def test_a_closed_pipe_is_no_error():
    # `sys.stdout` of the child is a pipe whose reader is gone before anything is written.
    script = ('import sys\nfrom types import SimpleNamespace as S\nfrom ivif_ros.cli import main\n'
              'def run(args):\n    sys.stdin.read()\n    print("text" * 1000)\n    return 0\n'
              'main.COMMANDS["probe"] = ("probe", "")\n'
              'sys.modules["ivif_ros.cli.probe"] = S(add_arguments=lambda p: None, run=run)\n'
              'sys.exit(main.main(["probe"]))')
    child = subprocess.Popen([sys.executable, '-c', script], cwd=REPOSITORY, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    child.stdin.close()
    assert child.stderr.read() == b''
    assert child.wait() == 0


@pytest.mark.parametrize('with_rich', [True, False])
def test_tables_and_progress_with_and_without_rich(monkeypatch, capsys, with_rich):
    if with_rich:
        pytest.importorskip('rich')
    else:
        for name in ('rich', 'rich.console', 'rich.table', 'rich.progress'):
            monkeypatch.setitem(sys.modules, name, None)
    console.table('Title [x]', ('pair', 'ms'), [('first', '1.0'), ('second', '22.5')])
    lines = capsys.readouterr().out.splitlines()
    assert 'Title [x]' in lines[0]
    assert [line for line in lines if 'second' in line and '22.5' in line]
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    assert list(console.progress('abc', 'work')) == list('abc')
    assert 'work' in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: False)
    assert list(console.progress('abc', 'work')) == list('abc')
    assert capsys.readouterr().err == ''


def test_exit_codes_of_many_files():
    assert ExitCode.of(3, 0) == 0
    assert ExitCode.of(2, 1) == 1
    assert ExitCode.of(0, 3) == 2
