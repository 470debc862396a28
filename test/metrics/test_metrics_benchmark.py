# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the metrics as people run it."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.metrics.catalogue import FUSION

BENCHMARK = Path(__file__).resolve().parents[2] / 'benchmarks' / 'metrics.py'


@pytest.fixture
def benchmark(monkeypatch):
    """Run the benchmark in this process and give its exit status."""
    threads = torch.get_num_threads(), cv2.getNumThreads()

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(BENCHMARK), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(BENCHMARK), run_name='__main__')
        return ended.value.code

    yield run
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def test_each_metric_and_all_together_are_timed(benchmark, tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 256, (190, 240, 3)).astype(np.uint8)
    for kind in ('rgb', 'thermal'):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / 'a.png'), image if kind == 'rgb' else image[..., 0])
    assert benchmark('--data', tmp_path, '--size', '200x176', '--repeats', '2', '--threads', '1',
                     '--json', tmp_path / 'times.json') == 0
    found = json.loads((tmp_path / 'times.json').read_text())
    assert (found['size'], found['threads']) == ('200x176', 1)
    rows = {row['metric']: row for row in found['rows']}
    assert {*FUSION, 'all fusion metrics', 'EPE (registration)', 'flicker (a frame)'} <= rows.keys()
    assert all(0 < row['least_ms'] <= row['ms'] for row in rows.values())
    assert 'MS-SSIM' in capsys.readouterr().out


def test_without_data_the_simulator_makes_the_pair(benchmark, tmp_path):
    assert benchmark('--size', '200x176', '--repeats', '1', '--json', tmp_path / 'times.json') == 0
    assert len(json.loads((tmp_path / 'times.json').read_text())['rows']) > len(FUSION)


def test_wrong_arguments_are_named(benchmark, tmp_path, capsys):
    assert benchmark('--size', '640x100') == 2
    assert 'at least 161 pixels' in capsys.readouterr().err
    assert 'no pair of images' in benchmark('--data', tmp_path)
