# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of segmentation as people run it, on one street and a few steps."""

import importlib.util
import json
import math
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_each_input_has_figures_under_each_condition(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(REPOSITORY / 'benchmarks'))
    spec = importlib.util.spec_from_file_location(
        'segmentation_benchmark', REPOSITORY / 'benchmarks' / 'segmentation.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'CONDITIONS', ('as recorded', 'rgb missing'))
    out = tmp_path / 'rows.json'
    assert module.main(['--streets', '1', '--steps', '3', '--json', str(out)]) == 0
    assert 'unseen streets' in capsys.readouterr().out
    rows = json.loads(out.read_text())['rows']
    assert [(row['input'], row['condition']) for row in rows] == [
        (name, condition) for name in ('rgb', 'thermal', 'average', 'fused')
        for condition in ('as recorded', 'rgb missing')]
    for row in rows:
        assert 0 <= row['mIoU'] <= 1
        known = [one['IoU'] for one in row['per_class'].values() if one['IoU'] is not None]
        assert math.isclose(row['mIoU'], sum(known) / len(known))
    figures = {(row['input'], row['condition']): row['mIoU'] for row in rows}
    assert figures['thermal', 'rgb missing'] == figures['thermal', 'as recorded']
    assert figures['rgb', 'rgb missing'] != figures['rgb', 'as recorded']
