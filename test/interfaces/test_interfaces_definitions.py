# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Message definitions: the hashes that decide whether two ROS machines understand each other."""

import pytest

from ivif_ros.interfaces.definitions import PACKAGES, definitions

# Type hashes (REP-2011) of vision_msgs 4.1.1, computed from its own definitions by rosidl of Jazzy.
VISION_MSGS_HASHES = {
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'BoundingBox2DArray': '2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691',
    'BoundingBox3D': 'bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698',
    'BoundingBox3DArray': 'a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6',
    'Classification': 'f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'Detection3D': 'ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b',
    'Detection3DArray': '793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'ObjectHypothesisWithPose': '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'VisionClass': '1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
    'VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
}


def test_packages_hold_their_messages():
    assert set(definitions('vision_msgs')) == set(VISION_MSGS_HASHES)
    assert {'Status', 'Deformation', 'Counter', 'StageLatency'} <= set(definitions('ivif_ros'))


def test_vision_msgs_hashes_are_those_of_ros():
    typesys = pytest.importorskip('rosbags.typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types = {}
    for name, text in definitions('vision_msgs').items():
        types |= typesys.get_types_from_msg(text, f'vision_msgs/msg/{name}')
    store.register(types)
    hashes = {name: store.hash_rihs01(f'vision_msgs/msg/{name}') for name in VISION_MSGS_HASHES}
    assert hashes == {name: f'RIHS01_{text}' for name, text in VISION_MSGS_HASHES.items()}


@pytest.mark.parametrize('package', PACKAGES)
def test_installed_classes_have_the_hash_of_the_definitions(package):
    """Two implementations of the hash, ours by rosidl and the one of rosbags, agree."""
    import importlib
    import json

    from ivif_ros.interfaces.definitions import find_share
    typesys = pytest.importorskip('rosbags.typesys')
    pytest.importorskip(f'{package}.msg', reason='run python -m ivif_ros.interfaces first')
    share = find_share(package)
    assert share is not None
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types = {}
    for name, text in definitions(package).items():
        types |= typesys.get_types_from_msg(text, f'{package}/msg/{name}')
    store.register(types)
    for name in definitions(package):
        description = share / 'msg' / f'{name}.json'
        if not description.is_file():
            pytest.skip('this ROS distribution has no type hashes')
        hashes = json.loads(description.read_text())['type_hashes']
        assert hashes[0]['type_name'] == f'{package}/msg/{name}'
        assert hashes[0]['hash_string'] == store.hash_rihs01(f'{package}/msg/{name}')
        assert hasattr(importlib.import_module(f'{package}.msg'), name)
