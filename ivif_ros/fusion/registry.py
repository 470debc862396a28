# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion methods by name.

A method is a callable on float luma planes in 0..1, `(visible (1, 1, H, W), thermal (1, 1, H, W),
weight (1, 1, H, W) or None) -> (1, 1, H, W)`. The engine owns everything else: colour, dtypes,
device, and what happens where there is no thermal image. The thermal plane is complete when it
reaches a method (it continues smoothly where the camera did not look); `weight`, 0..1, tells a
method which part of it was seen. Methods must not keep or change their inputs, and take any size
from 1x1 on any device.

Importing this module is cheap: the modules of the methods, and PyTorch with them, load on first
use.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ivif_ros.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    Method = Callable[[Tensor, Tensor, Tensor | None], Tensor]

Factory = TypeVar('Factory', bound=Callable[[], Any])

_BUILT_IN = {
    'average': 'ivif_ros.fusion.pixelwise',
    'maximum': 'ivif_ros.fusion.pixelwise',
    'pyramid': 'ivif_ros.fusion.pyramid',
}
_factories: dict[str, Callable[[], Method]] = {}


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
    """List the methods in alphabetical order; loads none of them."""
    return sorted({*_BUILT_IN, *_factories})


def create(name: str) -> Method:
    """Make a fresh method.

    Raises:
        ParameterError: unknown name; the message lists the known ones and names the nearest.
    """
    if name not in _factories and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _factories:
        near = difflib.get_close_matches(name, names(), 1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise ParameterError(
            f"unknown fusion method '{name}', expected one of {', '.join(names())}{hint}")
    return _factories[name]()
