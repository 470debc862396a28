# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion of a registered thermal image with an RGB image.

`fuse` takes two arrays; `FusionEngine` works on tensors that stay on the device, pair after pair;
`registry` knows the methods. PyTorch loads when the first of them is used.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ivif_ros.types import Array

if TYPE_CHECKING:
    from ivif_ros.fusion.engine import FusionEngine

__all__ = ['FusionEngine', 'fuse']


def fuse(rgb: Array, thermal: Array, method: str = 'learned_pyramid', device: str = 'auto'
         ) -> Array:
    """Fuse two arrays of the same size.

    For one pair or a few; a stream is better served by `ivif_ros.pipeline`, whose normalisation of
    the thermal image is steady over time. May be called from one thread at a time.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        thermal: (H, W), warm is bright, on the pixels of the RGB image. uint8 is used as it is;
            uint16 and float32 are first brought to 8 bits by `ivif_ros.thermal.ThermalNormaliser`.
        method: name of a fusion method, see `ivif_ros.fusion.registry.names`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        ImageError: an image of the wrong shape or dtype, or thermal of another size.
        ParameterError: unknown method or unusable device.
    """
    import numpy as np
    import torch

    from ivif_ros.errors import ImageError
    from ivif_ros.types import check_image

    check_image(rgb, 'RGB image')
    check_image(thermal, 'thermal image')
    if rgb.ndim != 3:
        raise ImageError(f'RGB image has shape {rgb.shape}, expected (H, W, 3)', 'bad_shape')
    if thermal.shape != rgb.shape[:2]:
        raise ImageError(
            f'thermal image has shape {thermal.shape}, expected {rgb.shape[:2]} like the RGB '
            'image: register it first (ivif_ros.registration, ivif register)', 'bad_shape')
    if thermal.dtype != np.uint8:
        from ivif_ros.parameters import ThermalParameters
        from ivif_ros.thermal import ThermalNormaliser
        thermal = ThermalNormaliser(ThermalParameters()).apply(thermal, 0)
    engine = _engine(method, device)
    # Copies where PyTorch cannot take the array as it is: negative strides, read-only memory.
    tensors = [torch.from_numpy(np.require(image, requirements=['C', 'W'])).to(engine.device)
               for image in (rgb, thermal)]
    fused: Array = engine.fuse(*tensors).cpu().numpy()
    return fused


@functools.lru_cache(maxsize=4)
def _engine(method: str, device: str) -> FusionEngine:
    """Engines of `fuse`, kept because making one takes longer than using it."""
    from ivif_ros.fusion.engine import FusionEngine
    from ivif_ros.parameters import FusionParameters
    return FusionEngine(FusionParameters(method=method, device=device))


def __getattr__(name: str) -> Any:
    """Load the engine, and PyTorch with it, when it is asked for."""
    if name == 'FusionEngine':
        from ivif_ros.fusion.engine import FusionEngine
        return FusionEngine
    raise AttributeError(f"module 'ivif_ros.fusion' has no attribute '{name}'")
