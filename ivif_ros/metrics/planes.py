# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From NumPy images to checked tensors, and back to figures.

Figures are computed on (n, c, H, W) tensors, n pairs with c images each. They take NumPy images:
(H, W) gives one number, (n, H, W) gives (n,).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ivif_ros.errors import ImageError
from ivif_ros.types import Array

Figure = Any
"""A number for one image, (n,) float64 for a batch. The shape decides, which types cannot say; the
stubs of NumPy have Any for such functions too."""


def grey(image: Array) -> Array:
    """Grey levels of colour images as OpenCV has them (BT.601).

    Published evaluators read their images through OpenCV.

    Args:
        image: (n, H, W, 3) uint8 BGR.

    Returns:
        (n, H, W) uint8.

    Raises:
        ImageError: another shape or dtype.
    """
    if image.ndim != 4 or image.shape[3] != 3 or image.dtype != np.uint8:
        raise ImageError(f'colour images are {image.shape} {image.dtype}, expected (n, H, W, 3) '
                         'uint8', 'bad_shape')
    return np.stack([cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in image])


def planes(*, least: int = 1, **images: Array) -> Tensor:
    """Put grey images of one size side by side.

    Args:
        least: shortest side in pixels that the figure can work with.
        **images: (H, W) or (n, H, W) uint8, by the names that errors call them.

    Returns:
        (n, number of images, H, W) uint8.

    Raises:
        ImageError: an image of another shape or dtype, or too small.
    """
    first = next(iter(images.values()))
    for name, image in images.items():
        if image.ndim not in (2, 3) or image.dtype != np.uint8 or image.shape != first.shape:
            raise ImageError(
                f'{name} image is {image.shape} {image.dtype}, expected (H, W) or (n, H, W) uint8, '
                f'of the same size as the {next(iter(images))} image {first.shape}', 'bad_shape')
    height, width = first.shape[-2:]
    if min(height, width) < least or not first.size:
        raise ImageError(
            f'image of {width}x{height} is too small for this figure, expected at least {least} '
            'pixels a side', 'bad_shape')
    return torch.from_numpy(np.stack(
        [image.reshape(-1, height, width) for image in images.values()], axis=1))


def figure(values: Tensor, like: Array) -> Figure:
    """Give values (n,) back: a number where the image `like` is a single one."""
    found = values.double().cpu().numpy()
    return found[0] if like.ndim == 2 else found
