# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion methods by name.

A method is a callable on float luma planes in 0..1, `(visible (1, 1, H, W), thermal (1, 1, H, W),
weight (1, 1, H, W) or None) -> (1, 1, H, W)`. The engine owns everything else: colour, dtypes,
device, and what happens where there is no thermal image. The thermal plane is complete when it
reaches a method (it continues smoothly where the camera did not look); `weight`, 0..1, tells a
method which part of it was seen. Methods must not keep or change their inputs, and take any size
from 1x1 on any device; what they return holds until their next call.

Two attributes are optional. `colour = True`: the method is given (1, 3, H, W) R, G, B in 0..1 in
place of the luma of the visible image. `capturable = False`: it cannot be part of a CUDA graph.

There are three kinds: classes with the decorator `register`; networks of
`ivif_ros.fusion.networks`, listed where their weights are in the package; and any network in a
file, `onnx:PATH` or `torchscript:PATH` (`ivif_ros.fusion.external`).

Importing this module is cheap: the modules of the methods, and PyTorch with them, load on first
use.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.networks import NETWORKS, VARIANTS
from ivif_ros.fusion.weights import shipped_names

if TYPE_CHECKING:
    from torch import Tensor

    Method = Callable[[Tensor, Tensor, Tensor | None], Tensor]

Factory = TypeVar('Factory', bound=Callable[[], Any])

_BUILT_IN = {
    'average': 'ivif_ros.fusion.pixelwise',
    'maximum': 'ivif_ros.fusion.pixelwise',
    'pyramid': 'ivif_ros.fusion.pyramid',
}
FILE_KINDS = ('onnx', 'torchscript')
"""A method `<kind>:<path>` is a network in a file."""

_factories: dict[str, Callable[[], Method]] = {}


@dataclass(frozen=True)
class MethodOptions:
    """What methods that are networks need to know.

    Attributes:
        device: where the images are, such as `cpu` or `cuda:0`.
        precision: `auto`, `float32`, `float16` or `bfloat16`.
        weights: file in place of the weights of the package; empty for those.
        tile: side of the tiles of large images in pixels; 0 lets the memory decide.
        threads: CPU threads; 0 leaves the defaults of the libraries.
    """

    device: str = 'cpu'
    precision: str = 'auto'
    weights: str = ''
    tile: int = 0
    threads: int = 0


def register(name: str) -> Callable[[Factory], Factory]:
    """Decorate a class (or a function without arguments) whose call makes a method.

    Args:
        name: what users write in the parameter `fusion.method`.

    Raises:
        ValueError: the name is taken.
    """
    def add(factory: Factory) -> Factory:
        if name in _factories:
            raise ValueError(f"fusion method '{name}' is registered already")
        _factories[name] = factory
        return factory

    return add


def names() -> list[str]:
    """List the methods that can be used by name, in alphabetical order; loads none of them."""
    return sorted({*_BUILT_IN, *_factories, *shipped_names()})


def create(name: str, options: MethodOptions | None = None) -> Method:
    """Make a fresh method.

    Args:
        name: one of `names`, a network of which the options name the weights, or `onnx:PATH` or
            `torchscript:PATH`.
        options: None for those of a CPU.

    Raises:
        ParameterError: unknown name (the message lists the known ones and names the nearest), or a
            file of a network or its weights that cannot be used.
        MissingDependencyError: `onnx:` without onnxruntime.
    """
    options = options or MethodOptions()
    if name not in _factories and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    network = name not in _factories and (name in NETWORKS or name in VARIANTS)
    if options.weights and not network:
        raise ParameterError(
            f"fusion.weights is '{options.weights}', but method '{name}' has no weights to "
            'replace: leave it empty')
    if network:
        from ivif_ros.fusion.learned import NetworkMethod
        return NetworkMethod(name, options)
    kind, colon, path = name.partition(':')
    if colon and kind in FILE_KINDS:
        from ivif_ros.fusion.external import load_external
        return load_external(kind, path, options)
    if name not in _factories:
        near = difflib.get_close_matches(name, names(), 1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise ParameterError(
            f"unknown fusion method '{name}', expected one of {', '.join(names())}, onnx:FILE or "
            f'torchscript:FILE{hint}')
    return _factories[name]()
