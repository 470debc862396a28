# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of topics that follow from others, by the rules of image_transport."""

from __future__ import annotations

from rclpy.node import Node


def image_topic(node: Node, base: str, transport: str) -> str:
    """Full name of an image topic: remapping the base name moves its compressed form with it.

    Args:
        node: node whose namespace and remapping rules hold.
        base: relative name of the raw image.
        transport: `raw` or `compressed`.
    """
    resolved = str(node.resolve_topic_name(base))
    return resolved if transport == 'raw' else f'{resolved}/{transport}'


def camera_info_topic(node: Node, image_base: str, info_base: str) -> str:
    """Full name of a camera_info topic: as remapped, else the sibling of the image topic."""
    resolved = str(node.resolve_topic_name(info_base))
    if resolved != node.resolve_topic_name(info_base, only_expand=True):
        return resolved
    image = str(node.resolve_topic_name(image_base))
    return f"{image.rpartition('/')[0]}/camera_info"
