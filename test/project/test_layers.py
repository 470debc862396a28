# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check: layers, headers, sizes, light imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / 'ivif_ros'
MODULES = sorted(PACKAGE.rglob('*.py'))
ROS = {'rclpy', 'sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs', 'geometry_msgs',
       'diagnostic_msgs', 'builtin_interfaces', 'rcl_interfaces', 'lifecycle_msgs', 'cv_bridge',
       'message_filters', 'tf2_ros', 'tf_transformations'}
# A package may import from packages of its own level and of lower ones.
LEVELS = {
    'types': 0, 'errors': 0, 'frame_source': 0, 'counters': 0, 'image_file': 0, 'memory': 0,
    'parameters': 0, 'msg': 0, 'weights_file': 0,
    'sync': 1, 'thermal': 1, 'health': 1, 'registration': 1, 'fusion': 1, 'detection': 1,
    'simulation': 1, 'metrics': 1, 'interfaces': 1, 'pipeline': 2, 'training': 2, 'ros': 3,
    'sources': 4, 'bags': 4, 'evaluation': 5, 'nodes': 5, 'cli': 5, 'demo': 6}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f'{path}: relative import'
            names.add(node.module)
            if node.module == 'ivif_ros':
                names.update(f'ivif_ros.{alias.name}' for alias in node.names
                             if alias.name in LEVELS)
    return names


def level_of(path: Path) -> int | None:
    top = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    return LEVELS[top] if top != '__init__' else None


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    level = level_of(path)
    if level is None:
        return
    for name in imported(path):
        parts = name.split('.')
        if parts[0] == 'ivif_ros' and len(parts) > 1:
            assert LEVELS[parts[1]] <= level, f'{path} imports {name} from above'


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_ros_layers_import_ros(path):
    if path.relative_to(PACKAGE).parts[0] in ('ros', 'nodes'):
        return
    found = {name for name in imported(path) if name.split('.')[0] in ROS}
    assert not found, f'{path} imports {found}'


@pytest.mark.parametrize('folder', ['ivif_ros', 'test', 'benchmarks', 'launch'])
def test_every_file_has_its_header(folder):
    for path in (REPOSITORY / folder).rglob('*.py'):
        lines = [line for line in path.read_text().splitlines() if not line.startswith('#!')]
        assert lines[0].startswith('# Copyright 20'), path
        assert lines[1] == '# SPDX-License-Identifier: Apache-2.0', path


def test_no_module_is_longer_than_500_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES}
    assert max(lengths.values()) <= 500, max(lengths, key=lengths.__getitem__)


def test_the_core_works_where_ros_cannot_be_imported():
    """Import every core module in a process in which ROS packages do not exist."""
    core = [str(path.relative_to(REPOSITORY).with_suffix('')).replace('/', '.').removesuffix(
        '.__init__') for path in MODULES
        if (level := level_of(path)) is not None and level <= 4
        and path.relative_to(PACKAGE).parts[0] != 'ros' and path.name != '__main__.py']
    script = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {ROS!r}:
            raise ImportError('refused: ' + name)
sys.meta_path.insert(0, Refuse())
for name in {core!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, capture_output=True,
                          text=True, check=False, env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_light():
    script = """
import sys
import ivif_ros, ivif_ros.cli.main
heavy = {'torch', 'rclpy', 'ultralytics', 'matplotlib', 'cv2', 'numpy'} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, check=True)


def test_what_cmake_installs_as_programs_can_be_started():
    """A file without a shebang would be run by the shell, line by line."""
    text = (REPOSITORY / 'CMakeLists.txt').read_text()
    nodes = text.partition('foreach(node ')[2].partition(')')[0].split()
    programs = [PACKAGE / 'nodes' / f'{node}.py' for node in nodes] + [PACKAGE / 'cli' / 'main.py']
    assert len(programs) > 4
    for program in programs:
        lines = program.read_text().splitlines()
        assert lines[0] == '#!/usr/bin/env python3', program
        assert "if __name__ == '__main__':" in lines, program
        assert os.access(program, os.X_OK), program
