# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Less flicker in streams, whatever the method: a recursive filter that yields to change.

A fused image holds the noise of both cameras, and a method decides a little differently from frame
to frame. Here the fused luma of pair n follows that of the pair before,

    s(n) = s(n-1) + g (x(n) - s(n-1)),

with the gain g at `1 - amount` where the scene rests and 1 where either camera sees a change, so
that what moves has neither trail nor delay (motion-adaptive temporal filtering, as in noise
reduction of video: Dubois and Sabri, 1984). The inputs are filtered with the same gain and change
is counted from their filtered images: one that is slow adds up and is noticed as well.

The fused luma is filtered on cells of 2x2 pixels; the finest details always come from the newest
pair. Change is measured on cells of 4x4, its energy over 8x8 decides: noise averages out there,
moving texture does not.

All figures are in units of luma, 0 (black) to 1 (white).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.resample import dilate, double, halve_box, pad_to_multiple, smooth

CELL = 8
"""Side in pixels of the cells that decide whether something changes."""

CHANGE = 2 / 255, 5 / 255
"""Change of an input above its noise between which the filter lets go."""

NOISE_QUANTILE = 0.25
"""The calmest quarter of the cells shows the energy of the noise."""

NOISE_GAIN = 2.0
"""Times that energy is taken off: the calmest quarter understates the rest."""

NOISE_MAX = 2 / 255
"""More is no noise: the camera moves."""

PAN = 0.4, 0.7
"""Share of the cells that change between which the whole image is let go: the camera moves, and
flat parts between the edges would lag behind them."""

FUSED_SHARE = 1 / 3
"""How far a change of the fused image counts. Methods exaggerate, so it counts for less than one of
the inputs; but what drifts through a threshold of the method must not stay behind its surroundings.
"""


class Steadiness:
    """Steadies the fused luma of one stream.

    `follow`, `apply` and `advance` belong to each pair, in this order. `apply` may be repeated for
    a pair, as the recording of a CUDA graph does; its memory keeps its addresses while the size of
    the images stays.
    """

    def __init__(self, amount: float, device: torch.device) -> None:
        """Start before the first pair.

        Args:
            amount: share of the pair before that is kept where nothing changes, 0 to below 1.
            device: of the planes.
        """
        self._amount = amount
        self._follows = False
        self._keep = torch.zeros((), device=device)
        self._fused = _Filtered(device)
        self._inputs = _Filtered(device)

    def follow(self, follows: bool) -> None:
        """Say whether the next pair follows the one before; if not, it passes as it is."""
        self._follows = follows
        self._keep.fill_(self._amount if follows else 0.0)

    def apply(self, visible: Tensor, thermal: Tensor, fused: Tensor, arena: Arena) -> Tensor:
        """Steady a fused plane; none of the inputs is changed.

        Args:
            visible: (H, W) float32 luma of the RGB image, 0..1.
            thermal: (H, W) float32, 0..1, without holes.
            fused: (H, W) float32.
            arena: memory of the result.

        Returns:
            (H, W) float32; exactly `fused` where the pair follows none of its size.
        """
        height, width = fused.shape
        correction = arena.empty(1, -(-height // CELL) * CELL // 2, -(-width // CELL) * CELL // 2)
        with arena.scratch():
            planes = [pad_to_multiple(plane[None], CELL) for plane in (visible, thermal, fused)]
            cells = [halve_box(plane, arena) for plane in planes]
            inputs = arena.empty(2, correction.shape[1] // 2, correction.shape[2] // 2)
            for i in range(2):
                inputs[i] = halve_box(cells[i], arena)[0]
            # A method that fails on one pair must not spoil the following ones.
            now = cells[2].nan_to_num_(0.0, 1.0, 0.0)
            if any([self._fused.resize(now), self._inputs.resize(inputs)]):
                self.follow(False)
            if not self._follows and fused.device.type == 'cpu':  # CUDA graphs need one path
                self._fused.after.copy_(now)
                self._inputs.after.copy_(inputs)
                return fused
            gain = double(self._gain(inputs, now, arena), arena)
            self._inputs.step(inputs, gain)
            self._fused.step(now, double(gain, arena))
            torch.sub(self._fused.after, now, out=correction)
        return double(correction, arena)[0, :height, :width].add_(fused)

    def advance(self) -> None:
        """Take the pair of the last `apply` as the one before from now on."""
        self._fused.advance()
        self._inputs.advance()

    def _gain(self, inputs: Tensor, fused: Tensor, arena: Arena) -> Tensor:
        """Gain of the filter (1, h / 2, w / 2) for inputs (2, h, w), fused luma (1, 2 h, 2 w)."""
        change = torch.sub(inputs, self._inputs.before, out=arena.empty(*inputs.shape)).square_()
        change = torch.maximum(change[:1], change[1:], out=change[:1])
        own = torch.sub(fused, self._fused.before, out=arena.empty(*fused.shape))
        own = halve_box(own, arena).mul_(FUSED_SHARE).square_()
        torch.maximum(change, own, out=change)
        change = smooth(halve_box(change, arena), arena)
        change.sub_(_noise(change), alpha=NOISE_GAIN)
        # A target that moves on changes the cells beside it with the next pair.
        change = dilate(change, arena).clamp_(min=0).sqrt_()
        low, high = CHANGE
        moved = change.sub_(low).mul_(1 / (high - low)).clamp_(0, 1)
        still = moved.mul(-2).add_(3).mul_(moved).mul_(moved).neg_().add_(1)
        low, high = PAN
        still.mul_(moved.mean().sub_(high).mul_(1 / (low - high)).clamp_(0, 1))
        return still.mul_(self._keep).neg_().add_(1)


class _Filtered:
    """Filtered planes (n, h, w) after the pair before, and after this one."""

    def __init__(self, device: torch.device) -> None:
        """Start without any."""
        self.before = self.after = torch.zeros(0, device=device)

    def resize(self, now: Tensor) -> bool:
        """Make room for planes like these, unless there is; say whether they are the first."""
        if self.before.shape == now.shape:
            return False
        self.before, self.after = torch.zeros_like(now), torch.zeros_like(now)
        return True

    def step(self, now: Tensor, gain: Tensor) -> None:
        """Filter with a gain (1, h, w); a gain of 1 gives exactly the planes."""
        torch.lerp(self.before, now, gain, out=self.after)

    def advance(self) -> None:
        """Begin the next pair; the addresses stay."""
        self.before.copy_(self.after)


def _noise(change: Tensor) -> Tensor:
    """Energy of cells (1, h, w) that is noise, a scalar tensor; from about a thousand of them."""
    stride = max(1, math.isqrt(change.numel() // 1024))
    sample = change[0, ::stride, ::stride].flatten()
    rank = max(1, int(NOISE_QUANTILE * sample.numel()))
    return sample.kthvalue(rank).values.clamp_(max=NOISE_MAX ** 2)
