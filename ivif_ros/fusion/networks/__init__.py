# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Architectures of the networks that fuse, by name; used at run time and for training.

A network is a `torch.nn.Module` whose constructor takes plain numbers and strings by keyword, all
with defaults: they are stored with its weights.

    forward(visible, thermal, weight=None) -> fused

All planes are (n, 1, H, W) float32 in 0..1, any H and W from 1: luma (BT.601), thermal with warm
bright, `weight` with 0 where no thermal image was seen (a network may ignore it). A network is
differentiable, deterministic in `eval()` mode, works on CPU and CUDA and changes no input. Two
class attributes tell how it may be cut into tiles: `OVERLAP`, the pixels of context that a tile
needs on each side, and `MULTIPLE`, what its internal padding rounds sizes up to.

It may have a method `deploy() -> Callable`: the same function of single planes (1, 1, H, W) in
float32, in the form that is fastest on a CPU. Its result holds until its next call.

Importing this package is cheap: PyTorch loads with the first network.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import ParameterError

if TYPE_CHECKING:
    from torch import nn

NETWORKS = {
    'densefuse': 'ivif_ros.fusion.networks.densefuse:DenseFuse',
    'fusiongan': 'ivif_ros.fusion.networks.fusiongan:FusionGAN',
    'learned_pyramid': 'ivif_ros.fusion.networks.learned_pyramid:LearnedPyramid',
    'mff_gan': 'ivif_ros.fusion.networks.mff_gan:MFFGAN',
    'mini': 'ivif_ros.fusion.networks.mini:Mini',
    'piafusion': 'ivif_ros.fusion.networks.piafusion:PIAFusion',
    'pmgi': 'ivif_ros.fusion.networks.pmgi:PMGI',
    'restormer': 'ivif_ros.fusion.networks.restormer:Restormer',
    'ufgan': 'ivif_ros.fusion.networks.ufgan:UFGAN',
}
"""Name -> module and class."""

VARIANTS = {
    'densefuse_l1': ('densefuse', {'rule': 'l1'}),
}
"""Name -> network of which it uses the weights, and what differs in the configuration."""


def build(name: str, **config: Any) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        name: a name of NETWORKS.
        config: keyword arguments of its constructor.

    Raises:
        ParameterError: unknown name, or a configuration that the network does not take.
    """
    if name not in NETWORKS:
        raise ParameterError(
            f"unknown fusion network '{name}', expected one of {', '.join(NETWORKS)}")
    module, _, cls = NETWORKS[name].partition(':')
    make = getattr(importlib.import_module(module), cls)
    try:
        network: nn.Module = make(**config)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"fusion network '{name}' does not take the configuration {config}: {error}") from error
    return network
