# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""config/fusion.yaml and docs/parameters.md say what the definitions say."""

import subprocess
import sys
from pathlib import Path

import yaml

from ivif_ros.parameters import Parameters, specs
from ivif_ros.parameters.node import NodeParameters

REPOSITORY = Path(__file__).resolve().parents[2]


def flatten(tree, prefix=''):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def test_both_files_are_current():
    script = REPOSITORY / 'scripts' / 'generate_parameters'
    run = subprocess.run([sys.executable, script, '--check'], capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_yaml_holds_every_default_in_its_type():
    document = yaml.safe_load((REPOSITORY / 'config' / 'fusion.yaml').read_text())
    found = dict(flatten(document['/**']['ros__parameters']))
    wanted = {spec.name: spec.default for spec in (*specs(NodeParameters), *specs(Parameters))}
    assert found == wanted
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in wanted.items()}


def test_page_has_a_row_for_each_parameter():
    page = (REPOSITORY / 'docs' / 'parameters.md').read_text()
    for spec in (*specs(NodeParameters), *specs(Parameters)):
        assert f'| `{spec.name}` |' in page
