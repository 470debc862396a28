# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo says about a command line that cannot work; nothing is deleted then."""

import os
import sys

import pytest

from ivif_ros.demo.__main__ import main


@pytest.fixture
def demo(monkeypatch, capsys):
    """Run the command line in this process, where starting processes would be a defect."""
    def run(*arguments):
        def started(*_):
            raise AssertionError('processes were started')
        monkeypatch.setattr('ivif_ros.demo.run.run', started)
        monkeypatch.setattr(sys, 'argv', ['demo', *map(str, arguments)])
        status = main()
        error = capsys.readouterr().err
        assert error.startswith('demo: error: ')
        assert error.count('\n') == 1
        return status, error
    return run


def test_folder_with_other_things_is_refused(demo, images, tmp_path):
    out = tmp_path / 'work'
    out.mkdir()
    (out / 'thesis.tex').write_text('years of work')
    status, error = demo('--source', images, '--out', out)
    assert status == 2
    assert "holds things that the demo did not make ('thesis.tex')" in error
    assert (out / 'thesis.tex').read_text() == 'years of work'
    assert [path.name for path in out.iterdir()] == ['thesis.tex']


def test_other_things_beside_results_are_refused(demo, images, tmp_path):
    for name in ('.ivif_demo', 'summary.json', 'notes.txt'):
        (tmp_path / 'out').mkdir(exist_ok=True)
        (tmp_path / 'out' / name).write_text(name)
    status, error = demo('--source', images, '--out', tmp_path / 'out')
    assert status == 2
    assert 'notes.txt' in error
    assert len(list((tmp_path / 'out').iterdir())) == 3


def test_names_like_results_without_the_marker_are_kept(demo, images, tmp_path):
    (tmp_path / 'out' / 'outputs').mkdir(parents=True)
    status, error = demo('--source', images, '--out', tmp_path / 'out')
    assert status == 2
    assert "'outputs'" in error
    assert (tmp_path / 'out' / 'outputs').is_dir()


def test_source_inside_the_folder_is_kept(demo, images):
    source = images / 'outputs'
    source.mkdir()
    (images / 'rgb').rename(source / 'rgb')
    (images / 'thermal').rename(source / 'thermal')
    (images / '.ivif_demo').touch()
    status, error = demo('--source', source, '--out', images)
    assert status == 2
    assert 'holds the source' in error
    assert len(list(source.glob('*/*.png'))) == 6


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--seconds', '-1'], '--seconds is -1, expected more than 0'),
    (['--seconds', '0'], '--seconds is 0'),
    (['--seconds', 'nan'], '--seconds is nan'),
    (['--seconds', 'inf'], '--seconds is inf'),
    (['--set', 'fusion.method'], "--set is 'fusion.method', expected NAME=VALUE"),
    (['--set', '=3'], "--set is '=3', expected NAME=VALUE"),
    (['--source', 'nowhere'], "source 'nowhere' is not there"),
    (['--source', 'sim:fog_of_war'], "'fog_of_war'"),
])
def test_impossible_arguments(demo, images, tmp_path, arguments, words):
    out = tmp_path / 'out'
    status, error = demo('--source', images, '--out', out, *arguments)
    assert status == 2
    assert words in error
    assert not out.exists()


def test_out_is_a_file(demo, images, tmp_path):
    (tmp_path / 'out').write_text('text')
    status, error = demo('--source', images, '--out', tmp_path / 'out')
    assert status == 2
    assert 'cannot be written: Not a directory; choose another with --out' in error
    assert (tmp_path / 'out').read_text() == 'text'


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs a folder nobody can write')
def test_unwritable_out(demo, images):
    status, error = demo('--source', images, '--out', '/proc/self/ivif_demo')
    assert status == 2
    assert "folder '/proc/self/ivif_demo' cannot be written" in error
