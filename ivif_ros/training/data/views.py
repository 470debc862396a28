# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a detector may be shown of a pair: either camera alone, or both in one image."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.engine import FusionEngine
from ivif_ros.parameters import FusionParameters
from ivif_ros.types import Array

VIEWS = ('rgb', 'thermal', 'average', 'fused')
"""RGB image, thermal image, mean of both (its colours are those of RGB), our fusion."""


class PairViews:
    """Makes the views of registered pairs, one pair at a time, as the pipeline makes them.

    Args:
        method: fusion method of the view `fused`.
        weights: weights of that method, empty for those of the package.

    Raises:
        ParameterError: unknown method, or weights that cannot be used.
    """

    def __init__(self, method: str = 'learned_pyramid', weights: str = '') -> None:
        """Load the method."""
        self._engines = {
            'average': FusionEngine(FusionParameters(method='average', device='cpu', threads=0)),
            'fused': FusionEngine(FusionParameters(
                method=method, weights=weights, device='cpu', threads=0))}

    def make(self, name: str, visible: Array, thermal: Array) -> Array:
        """Make one view.

        Args:
            name: one of VIEWS.
            visible: (H, W, 3) uint8 BGR.
            thermal: (H, W) uint8, warm is bright.

        Returns:
            (H, W, 3) uint8 BGR.

        Raises:
            ParameterError: another name.
        """
        if name == 'rgb':
            return visible
        if name == 'thermal':
            return np.asarray(cv2.cvtColor(thermal, cv2.COLOR_GRAY2BGR))
        if name not in self._engines:
            raise ParameterError(f"view is '{name}', expected one of {', '.join(VIEWS)}")
        tensors = [torch.from_numpy(np.require(image, requirements=['C', 'W']))
                   for image in (visible, thermal)]
        view: Array = self._engines[name].fuse(*tensors).numpy()
        return view
