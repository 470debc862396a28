# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Gaussian windows over cells, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def blurred(stack: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of (1, c, rows, columns) with a standard deviation in cells, 0 outside."""
    reach = int(3 * deviation + 0.5)
    x = torch.arange(-reach, reach + 1, device=stack.device, dtype=stack.dtype)
    kernel = torch.exp(-0.5 * (x / deviation) ** 2)
    kernel = kernel / kernel.sum()
    count = stack.shape[1]
    across = kernel.expand(count, 1, 1, -1)
    stack = functional.conv2d(stack, across, padding=(0, reach), groups=count)
    return functional.conv2d(stack, across.transpose(2, 3), padding=(reach, 0), groups=count)
