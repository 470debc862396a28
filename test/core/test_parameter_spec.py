# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters described once: types, ranges, choices, and groups to and from flat names."""

from dataclasses import dataclass, field

import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.parameters.spec import from_dict, parameter, replace, specs, to_dict


@dataclass(frozen=True)
class Lens:
    focal_mm: float = parameter(8.0, 'Focal length.', unit='mm', minimum=1, maximum=100)
    kind: str = parameter('wide', 'Kind of lens.', choices=('wide', 'tele'))


@dataclass(frozen=True)
class Camera:
    lens: Lens = field(default_factory=Lens)
    gain: int = parameter(3, 'Gain.', minimum=0, runtime=True)
    enabled: bool = parameter(True, 'Whether it is used.')
    labels: list[str] = parameter(['a'], 'Names.')


def test_names_defaults_and_descriptions():
    found = {spec.name: spec for spec in specs(Camera)}
    assert list(found) == ['lens.focal_mm', 'lens.kind', 'gain', 'enabled', 'labels']
    assert (found['lens.focal_mm'].unit, found['lens.focal_mm'].maximum) == ('mm', 100)
    assert [spec.name for spec in found.values() if spec.runtime] == ['gain']
    assert {name: spec.default for name, spec in found.items()} == to_dict(Camera())


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('lens.focal_mm', 0.5, r"'lens.focal_mm' is 0.5, expected 1 to 100 mm"),
    ('lens.focal_mm', float('nan'), 'is nan, expected 1 to 100 mm'),
    ('lens.focal_mm', '8', r"is '8' \(str\), expected float"),
    ('lens.focal_mm', True, 'expected float'),
    ('gain', -1, 'expected 0 to inf'),
    ('gain', 2.0, 'expected int'),
    ('gain', True, 'expected int'),
    ('enabled', 1, 'expected bool'),
    ('lens.kind', 'macro', r"expected one of \['wide', 'tele'\]"),
    ('labels', 'a', 'expected list'),
    ('lens.focal', 8.0, "unknown parameter 'lens.focal'; did you mean 'lens.focal_mm'"),
    ('zzz', 8.0, "unknown parameter 'zzz'$"),
])
def test_refused_by_name(name, value, words):
    with pytest.raises(ParameterError, match=words):
        from_dict(Camera, {name: value})


def test_groups_to_and_from_flat_names():
    camera = from_dict(Camera, {'lens.focal_mm': 100, 'labels': ('x', 'y'), 'enabled': False})
    assert camera == Camera(Lens(100.0), 3, False, ['x', 'y'])
    assert type(camera.lens.focal_mm) is float
    assert from_dict(Camera, to_dict(camera)) == camera
    changed = replace(camera, {'gain': 9})
    assert (changed.gain, changed.lens, camera.gain) == (9, camera.lens, 3)
    with pytest.raises(ParameterError, match='gain'):
        replace(camera, {'lens.focal_mm': 5.0, 'gain': -9})
    assert camera.lens.focal_mm == 100


def test_default_lists_are_not_shared():
    first, second = Camera(), Camera()
    first.labels.append('b')
    assert second.labels == ['a']
