# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures with which networks are tried when they are loaded or exported."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def trial_pictures(height: int, width: int, device: torch.device | str = 'cpu',
                   channels: int = 1) -> tuple[Tensor, Tensor]:
    """Make a visible and a thermal picture, the same for the same size.

    They have black and white, areas, edges and the noise of cameras, and a flat part without any:
    what goes wrong in networks (divisions, square roots, small floats) shows in one of them.

    Args:
        height: in pixels.
        width: in pixels.
        device: where to put them.
        channels: of the visible picture.

    Returns:
        (1, channels, H, W) and (1, 1, H, W) float32 in 0..1.
    """
    generator = torch.Generator().manual_seed(height * 10007 + width)
    coarse = torch.rand(channels + 1, 1, 8, 10, generator=generator).mul_(1.2).sub_(0.1)
    planes = functional.interpolate(coarse, (height, width), mode='bilinear')
    planes += 0.05 * torch.randn(channels + 1, 1, height, width, generator=generator)
    planes[-1, :, height // 4:height // 2, width // 3:width // 2] = 1
    planes[..., height // 2:height * 3 // 4, width // 2:width * 3 // 4] = 0.25
    planes = planes.clamp_(0, 1).to(device)
    return planes[:-1, 0][None].contiguous(), planes[-1:].contiguous()
