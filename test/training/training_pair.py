# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A pair of small planes for the tests of losses."""

import numpy as np
import torch


def make_pair():
    """Thermal and visible (2, 1, 24, 28) float64 with smooth parts, edges and noise."""
    rng = np.random.default_rng(3)
    visible = np.full((2, 1, 24, 28), 0.3) + rng.normal(0, 0.02, (2, 1, 24, 28))
    visible[..., 4:12, 5:20] += 0.4
    thermal = np.full((2, 1, 24, 28), 0.15) + rng.normal(0, 0.02, (2, 1, 24, 28))
    thermal[..., 9:20, 12:18] += 0.6
    return torch.from_numpy(thermal), torch.from_numpy(visible)
