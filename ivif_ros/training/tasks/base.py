# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a task network is: colour images and the truth about them in, one loss out."""

from __future__ import annotations

from torch import Tensor, nn

from ivif_ros.training.labelled_batch import Targets


class TaskNetwork(nn.Module):
    """Base of all task networks.

    A derived class computes `loss`, which is differentiable once with respect to the images and to
    the parameters; second derivatives are never asked for. All that the loss depends on are
    parameters and buffers, so that it can be called with others (`torch.func.functional_call`).

    Attributes:
        MULTIPLE: width and height of the images are multiples of this.
        NEEDS_CLASS_MAP: whether the targets must have a class map.
    """

    MULTIPLE = 1
    NEEDS_CLASS_MAP = False

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Compute the loss that the task trains with.

        Args:
            images: (n, 3, h, w) floating point RGB in 0..1.
            targets: what they show.

        Returns:
            Scalar, a mean over the images.
        """
        raise NotImplementedError

    def forward(self, images: Tensor, targets: Targets) -> Tensor:
        """Return `loss`: `functional_call` calls this."""
        return self.loss(images, targets)
