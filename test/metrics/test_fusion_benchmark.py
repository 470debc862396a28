# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark as people run it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.metrics.fusion import evaluate
from ivif_ros.parameters import FusionParameters
from ivif_ros.training.data.splits import split_of

REPOSITORY = Path(__file__).resolve().parents[2]


def benchmark(*arguments):
    return subprocess.run(
        [sys.executable, REPOSITORY / 'benchmarks' / 'fusion.py', '--device', 'cpu', *arguments],
        capture_output=True, text=True, cwd=REPOSITORY)


@pytest.fixture
def data(tmp_path):
    """Two pairs of a data set with a list, of which training has seen one."""
    seen = next(line for line in (
        REPOSITORY / 'ivif_ros/training/data/splits/msrs.txt').read_text().splitlines()
        if split_of('msrs', line) == 'train')
    rng = np.random.default_rng(3)
    for kind in ('rgb', 'thermal'):
        (tmp_path / 'msrs' / kind).mkdir(parents=True)
        for stem in (seen, 'nobody_has_seen_this'):
            image = cv2.resize(rng.integers(0, 256, (30, 40, 3)).astype(np.uint8), (160, 120))
            cv2.imwrite(str(tmp_path / 'msrs' / kind / f'{stem}.png'),
                        image if kind == 'rgb' else image[..., 0])
    return tmp_path


def test_the_json_has_the_default_and_a_row_for_each_method_on_unseen_pairs(data, tmp_path):
    out = tmp_path / 'rows.json'
    done = benchmark('--data', data, '--methods', 'average,learned_pyramid', '--repeats', '2',
                     '--json', out)
    assert done.returncode == 0, done.stderr
    assert '1 unseen of msrs' in done.stdout
    found = json.loads(out.read_text())
    assert found['default'] == FusionParameters().method
    rows = {row['method']: row for row in found['rows']}
    assert rows.keys() == {'average', 'learned_pyramid'}
    assert all(row['ms'] > 0 and row['dataset'] == 'msrs' for row in rows.values())
    assert 1000 < rows['learned_pyramid']['parameters'] <= 100_000
    rgb = cv2.imread(str(data / 'msrs/rgb/nobody_has_seen_this.png'), cv2.IMREAD_GRAYSCALE)
    thermal = cv2.imread(str(data / 'msrs/thermal/nobody_has_seen_this.png'), cv2.IMREAD_GRAYSCALE)
    mean = np.rint((rgb.astype(float) + thermal) / 2).astype(np.uint8)
    expected = evaluate(mean, thermal, rgb)
    for name in ('EN', 'SF', 'SCD', 'VIF', 'Qabf', 'SSIM'):
        assert rows['average'][name] == pytest.approx(expected[name], rel=0.03), name


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--data', '/nowhere'], 'no pairs under /nowhere'),
    (['--methods', 'pyramd'], "did you mean 'pyramid'")])
def test_wrong_arguments_are_named(data, arguments, message):
    done = benchmark(*(['--data', data] if '--data' not in arguments else []), *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
