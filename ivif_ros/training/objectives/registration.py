# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the registration network learns: to find each cell again, and to know how well."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.registration.correlation import local_correlation
from ivif_ros.registration.network import COARSE, FINE, REACH, RegistrationNetwork
from ivif_ros.registration.structure import edge_directions, structure
from ivif_ros.training.data.misaligned import MisalignedBatch
from ivif_ros.training.objective import Objective

_LEAST = 1e-3


class RegistrationObjective(Objective):
    """Matching of coarse cells with all others, of finer ones with those around, and correction.

    - `match`: cross entropy of the similarity of all cells with all cells, both ways (dual softmax
      as in LoFTR, Sun et al. 2021), against the true partner spread bilinearly over four cells.
    - `middle`: cross entropy of the local comparison, likewise.
    - `flow`: `r / e + log e + 0.1 r` for an error of length r and an expected length e, whose
      minimum is e = mean of r: so the expected error is calibrated by itself.
    - `matched`: binary cross entropy of whether a cell is seen by both cameras.
    """

    network: RegistrationNetwork

    def losses(self, batch: MisalignedBatch, group: int) -> dict[str, Tensor]:    # type: ignore[override]
        """Compute all terms; see `Objective.losses`."""
        network, n = self.network, len(batch.visible)
        with torch.no_grad():
            rgb_shape, near_shape = structure(batch.visible), structure(batch.near)
            far_shape = structure(batch.far)
        quarter, eighth = network.pyramid([
            (rgb_shape, 'rgb'), (torch.cat([near_shape, far_shape]), 'thermal')])
        rgb, near = (network.describe(quarter[part], eighth[part], edge_directions(shape))
                     for part, shape in ((slice(n), rgb_shape), (slice(n, 2 * n), near_shape)))
        far = network.describe_coarse(eighth[2 * n:])
        scale = network.sharpness.exp()
        middle = local_correlation(rgb.middle, near.middle, REACH)
        found = network.decode(middle, rgb, near)
        valid = batch.near_valid
        off = (found.flow - batch.near_flow).square().sum(1, keepdim=True)
        length = (off + _LEAST).sqrt()
        return {
            'match': _matching(rgb.coarse, far, scale, batch),
            'middle': 0.3 * _local(middle.float() * scale, batch.near_flow / FINE, valid),
            'flow': _mean(length / found.error + found.error.log() + 0.1 * length, valid),
            'matched': 0.5 * functional.binary_cross_entropy_with_logits(
                found.matched, valid.float())}


def _matching(rgb: Tensor, thermal: Tensor, scale: Tensor, batch: MisalignedBatch) -> Tensor:
    """Cross entropy of the partners.

    Every fourth cell of the RGB image asks. The full matrix of logits appears in two sums of
    exponentials only; the logits of the partners are computed anew, which is much cheaper than to
    pick them from the matrix in the backward pass.
    """
    rows, columns = rgb.shape[2:]
    asking = torch.arange(rows * columns, device=rgb.device).view(rows, columns)
    asking = asking[int(torch.randint(2, ())) :: 2, int(torch.randint(2, ())) :: 2].flatten()
    queries = rgb.flatten(2).transpose(1, 2)[:, asking]
    keys = thermal.flatten(2).transpose(1, 2)
    logits = (queries @ keys.transpose(1, 2)).float() * scale
    ways, back = logits.logsumexp(2), logits.logsumexp(1)
    known = batch.far_valid.flatten(2)[:, 0, asking]
    places = ((batch.far_target - (COARSE - 1) / 2) / COARSE).flatten(2)[:, :, asking]
    centre = places.round()
    shift = torch.arange(-1, 2, device=rgb.device)
    x = (centre[:, 0, :, None] + shift.repeat(3)).clamp(0, columns - 1)
    y = (centre[:, 1, :, None] + shift.repeat_interleave(3)).clamp(0, rows - 1)
    index = (y * columns + x).long()
    around = torch.stack([one[chosen] for one, chosen in zip(keys, index, strict=True)])
    partners = (around.float() * queries.float()[:, :, None]).sum(3) * scale
    # Bilinear weights of the 3x3 cells around the true place.
    weight = ((1 - (x - places[:, 0, :, None]).abs()).clamp_min(0)
              * (1 - (y - places[:, 1, :, None]).abs()).clamp_min(0))
    weight = weight / weight.sum(2, keepdim=True).clamp_min(0.25)
    back_of_partners = back.gather(1, index.flatten(1)).view_as(partners)
    loss = (weight * (ways[..., None] + back_of_partners - 2 * partners)).sum(2)
    return _mean(loss, known) / 2


def _local(logits: Tensor, shift: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy of the true shift (n, 2, h, w) in cells, where it is within reach."""
    side = math.isqrt(logits.shape[1])
    place = shift + side // 2
    within = valid[:, 0] & ((place >= 0) & (place <= side - 1)).all(1)
    place = place.clamp(0, side - 1 - 1e-4)
    corner = place.floor()
    right, down = (place - corner).unbind(1)
    weight = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down,
                          right * down], dim=1)
    first = (corner[:, 1] * side + corner[:, 0]).long()
    index = torch.stack([first, first + 1, first + side, first + side + 1], dim=1)
    partners = (weight * logits.gather(1, index)).sum(1)
    return _mean(logits.logsumexp(1) - partners, within)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp_min(1)
