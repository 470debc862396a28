# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits: every pair has one place, scenes stay together, users' own data are dealt by a hash."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.training.data.splits import check_split, known_datasets, split_of

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / 'ivif_ros' / 'training' / 'data' / 'splits'
COUNTS = {'msrs': (180, 20), 'roadscene': (112, 15), 'm3svd': (2, 0), 'm3svd_stills': (20, 4),
          'llvip': (16, 3)}


def listed(name: str) -> list[str]:
    lines = (FOLDER / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if not line.startswith(('#', '['))]


@pytest.mark.parametrize('name', COUNTS)
def test_each_stem_is_listed_once(name):
    stems = listed(name)
    assert len(set(stems)) == len(stems)
    found = [split_of(name, stem) for stem in stems]
    assert (found.count('train'), found.count('validation')) == COUNTS[name]


def test_all_lists_are_known():
    assert known_datasets() == tuple(sorted(COUNTS))


def test_what_is_not_listed_is_unseen():
    assert split_of('msrs', '99999D') == 'test'
    assert split_of('m3svd', '0117_1605') == 'test'
    assert split_of('m3svd', '0111_1716') == 'train'


def test_day_and_night_are_balanced():
    stems = listed('msrs')
    for split in ('train', 'validation'):
        part = [stem for stem in stems if split_of('msrs', stem) == split]
        night = sum(stem.endswith('N') for stem in part) / len(part)
        assert 0.4 <= night <= 0.6


def test_no_scene_is_on_two_sides(shared_data):
    scenes: dict[str, set[str]] = {}
    for path in (shared_data / 'm3svd_stills' / 'rgb').iterdir():
        scenes.setdefault(path.stem[:9], set()).add(split_of('m3svd_stills', path.stem))
    assert all(len(sides) == 1 for sides in scenes.values())
    assert sorted(side for sides in scenes.values() for side in sides).count('test') == 3
    frames = sorted((int(path.stem.rpartition('_')[2]), path.stem)
                    for path in (shared_data / 'roadscene' / 'rgb').glob('FLIR_0*'))
    for number, stem in frames:
        for other, partner in frames:
            if abs(number - other) <= 60:
                sides = {split_of('roadscene', name) for name in (stem, partner)}
                assert len(sides) == 1, (stem, partner)


def test_labelled_pairs_stay_unseen_for_detection(shared_data):
    labelled = [path.stem for path in (shared_data / 'roadscene' / 'labels').glob('*.txt')]
    sides = [split_of('roadscene', stem) for stem in labelled]
    assert sides.count('test') == 38
    pairs = [path.stem for path in (shared_data / 'roadscene' / 'rgb').iterdir()]
    assert sum(split_of('roadscene', stem) == 'test' for stem in pairs) == 58


def test_the_lists_are_what_the_rules_say(shared_data):
    done = subprocess.run([sys.executable, REPOSITORY / 'scripts' / 'make_splits', '--check',
                           shared_data], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_own_data_are_dealt_by_a_stable_hash():
    found = {}
    for number in range(2000):
        stem = f'frame_{number:04d}'
        digest = hashlib.sha256(b'yard/' + stem.encode()).hexdigest()
        found[stem] = 'validation' if int(digest[:8], 16) % 10 == 0 else 'train'
    assert {stem: split_of('yard', stem) for stem in found} == found
    assert 160 < list(found.values()).count('validation') < 240


def test_an_unknown_split_is_named():
    with pytest.raises(ParameterError, match="split is 'valid', expected one of train, validation"):
        check_split('valid')
