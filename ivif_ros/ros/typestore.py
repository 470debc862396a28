# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Message types for recordings: those of ROS 2 Jazzy, vision_msgs and our own."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ivif_ros.interfaces.definitions import PACKAGES, definitions


@cache
def typestore() -> Typestore:
    """Return the store, the same one at each call."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for package in PACKAGES:
        for name, text in definitions(package).items():
            types.update(get_types_from_msg(text, f'{package}/msg/{name}'))
    store.register({name: fields for name, fields in types.items() if name not in store.types})
    return store
