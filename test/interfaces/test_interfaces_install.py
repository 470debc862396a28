# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Deciding what to build, building it, and saying what is missing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ivif_ros
from ivif_ros.errors import MissingDependencyError, OutputError
from ivif_ros.interfaces import compile as compilation
from ivif_ros.interfaces import install as installation
from ivif_ros.interfaces.__main__ import main
from ivif_ros.interfaces.generate import dependencies, generate
from ivif_ros.interfaces.install import STAMP, Target, fingerprint, install, is_current, provider

SOURCES = Path(ivif_ros.__file__).parent


def test_install_beside_an_installed_package(tmp_path):
    """The package itself lies in the same site-packages; its own files stay as they are."""
    pytest.importorskip('rosidl_adapter', reason='no message generators in this environment')
    target = Target(tmp_path)
    package = target.site_packages / 'ivif_ros'
    shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns('__pycache__'))
    before = (package / '__init__.py').read_bytes()
    lines = []
    install('ivif_ros', target, lines.append)
    assert lines[0] == 'ivif_ros: generate sources'
    assert (package / '__init__.py').read_bytes() == before
    assert is_current('ivif_ros', target)
    index = tmp_path / 'share/ament_index/resource_index/rosidl_interfaces/ivif_ros'
    assert 'msg/Status.msg' in index.read_text().split()

    program = (
        'import ivif_ros.msg as m; from rclpy.serialization import serialize_message as s;'
        'from rclpy.serialization import deserialize_message as d;'
        'print(m.__file__); print(d(s(m.Counter(name="a", count=7)), m.Counter).count)')
    done = subprocess.run(
        [sys.executable, '-c', program], cwd='/', text=True, capture_output=True,
        env={**os.environ, 'PYTHONPATH': str(target.site_packages)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(package / 'msg' / '__init__.py'), '7']

    (target.libraries / 'libivif_ros__rosidl_generator_c.so').unlink()
    assert not is_current('ivif_ros', target)


def test_fingerprint_follows_the_definitions(monkeypatch):
    before = fingerprint('ivif_ros')
    assert fingerprint('ivif_ros') == before
    assert fingerprint('vision_msgs') != before
    monkeypatch.setattr(installation, 'definitions', lambda package: {'Status': 'uint8 mode'})
    assert fingerprint('ivif_ros') != before


def test_broken_stamp_means_build_again(tmp_path):
    target = Target(tmp_path)
    assert not is_current('ivif_ros', target)
    target.stamp('ivif_ros').parent.mkdir(parents=True)
    target.stamp('ivif_ros').write_text('{')
    assert not is_current('ivif_ros', target)
    target.stamp('ivif_ros').write_text(
        json.dumps({'fingerprint': fingerprint('ivif_ros'), 'files': ['lib/gone.so']}))
    assert not is_current('ivif_ros', target)


def test_packages_of_a_ros_installation_win(tmp_path, monkeypatch, capsys):
    for package in ('vision_msgs', 'ivif_ros'):
        (tmp_path / package / 'msg').mkdir(parents=True)
        (tmp_path / package / 'msg' / '__init__.py').touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        'ivif_ros.interfaces.__main__.install', lambda *_: pytest.fail('must not build'))
    assert main(['--force']) == 0
    out = capsys.readouterr().out
    assert f'vision_msgs: provided by {tmp_path / "vision_msgs" / "msg"}, nothing to do' in out
    assert f'ivif_ros: provided by {tmp_path / "ivif_ros" / "msg"}, nothing to do' in out

    (tmp_path / 'vision_msgs' / 'msg' / STAMP).touch()
    assert provider('vision_msgs') != tmp_path / 'vision_msgs' / 'msg'


def test_missing_compiler_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr('ivif_ros.interfaces.__main__.provider', lambda package: None)
    assert main(['--prefix', str(tmp_path)]) == 1
    assert 'gcc and g++ not found' in capsys.readouterr().err


def test_missing_headers_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation.sysconfig, 'get_path', lambda name: str(tmp_path))
    with pytest.raises(MissingDependencyError, match='python3-dev'):
        compilation.check_toolchain()


def test_missing_generators_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rosidl_adapter.msg', None)
    with pytest.raises(MissingDependencyError, match='pip install ros-jazzy'):
        generate('ivif_ros', {'Counter': 'uint64 count\n'}, tmp_path / 'out')


def test_missing_message_package_is_named():
    pytest.importorskip('rosidl_adapter', reason='no message generators in this environment')
    assert dependencies('a_msgs', {'A': 'std_msgs/Header header\nB[] b\nfloat32 x\n'}) == (
        'std_msgs',)
    with pytest.raises(MissingDependencyError, match='no_such_msgs'):
        dependencies('a_msgs', {'A': 'no_such_msgs/Thing thing\n'})


def test_unwritable_prefix_is_named(tmp_path):
    file = tmp_path / 'file'
    file.touch()
    with pytest.raises(OutputError, match='--prefix'):
        install('ivif_ros', Target(file), print)


def test_compiler_errors_are_shown(tmp_path):
    (tmp_path / 'bad.c').write_text('int main( {')
    with pytest.raises(OutputError, match=r'gcc failed on bad: .*error'):
        compilation._call(['gcc', '-c', 'bad.c'], tmp_path, 'bad')
