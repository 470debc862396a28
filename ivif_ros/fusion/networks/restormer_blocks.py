# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Blocks of Restormer (Zamir et al. 2022): attention between channels, at a cost linear in pixels.

All modules take and give (n, c, h, w), any h, w >= 1, and consist of standard layers with their
own parameters, so that `torch.func.functional_call` works and second derivatives exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, with scale and shift.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        """Make the layers."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, c, h, w)."""
        last = functional.layer_norm(
            x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias)
        return last.permute(0, 3, 1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor) -> Tensor:
    """Transposed attention: each channel of the result is a mixture of the channels of `value`.

    Within each head: softmax over key channels of temperature * cosine(query_i, key_j), where the
    cosine is that of whole channels as vectors of h * w numbers.

    Args:
        query: (n, c, h, w).
        key: (n, c, h, w).
        value: (n, c, h, w).
        temperature: (heads, 1, 1); heads divide c.

    Returns:
        (n, c, h, w).
    """
    n, c, h, w = query.shape
    heads = temperature.shape[0]
    q, k, v = (x.reshape(n, heads, c // heads, h * w) for x in (query, key, value))
    scores = functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-1).transpose(-2, -1)
    return ((scores * temperature).softmax(-1) @ v).reshape(n, c, h, w)


class Projection(nn.Module):
    """1 x 1 convolution followed by a 3 x 3 convolution of each channel by itself, no biases.

    Args:
        inputs: channels before.
        outputs: channels after.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make the layers."""
        super().__init__()
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.local = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        projected: Tensor = self.local(self.mix(x))
        return projected


class ChannelAttention(nn.Module):
    """Multi-head transposed attention (MDTA) of an image's features on themselves.

    Args:
        channels: c, a multiple of `heads`.
        heads: groups of channels that attend separately.
    """

    def __init__(self, channels: int, heads: int) -> None:
        """Make the layers."""
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.query_key_value = Projection(channels, 3 * channels)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h, w)."""
        query, key, value = self.query_key_value(x).chunk(3, 1)
        attended: Tensor = self.out(attend(query, key, value, self.temperature))
        return attended


class GatedFeedForward(nn.Module):
    """Gated feed-forward network (GDFN): gelu(one half) times the other half.

    Args:
        channels: c.
        expansion: hidden channels of each half per channel.
    """

    def __init__(self, channels: int, expansion: float) -> None:
        """Make the layers."""
        super().__init__()
        hidden = int(channels * expansion)
        self.halves = Projection(channels, 2 * hidden)
        self.out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h, w)."""
        gate, content = self.halves(x).chunk(2, 1)
        forwarded: Tensor = self.out(functional.gelu(gate) * content)
        return forwarded


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each on normalised features and added to them.

    Args:
        channels: c, a multiple of `heads`.
        heads: of the attention.
        expansion: of the feed-forward network.
    """

    def __init__(self, channels: int, heads: int = 8, expansion: float = 2.0) -> None:
        """Make the layers."""
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attention = ChannelAttention(channels, heads)
        self.norm2 = ChannelNorm(channels)
        self.feed_forward = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h, w)."""
        x = x + self.attention(self.norm1(x))
        refined: Tensor = x + self.feed_forward(self.norm2(x))
        return refined


class AdaptiveFusion(nn.Module):
    """Adaptive fusion of two modalities: cross attention, then gates that both decide together.

    Each modality is asked by the queries of the other one, which adds what fits the other. Then
    gates computed from both select, channel by channel and pixel by pixel, from expanded features
    of each: out = [a, b] + P_a(gelu(g_a) E_a(a)) + P_b(gelu(g_b) E_b(b)).

    Args:
        channels: c of each modality, a multiple of `heads`.
        heads: of the cross attention.
        expansion: channels of each gate per channel.
    """

    def __init__(self, channels: int, heads: int = 8, expansion: int = 4) -> None:
        """Make the layers."""
        super().__init__()
        hidden = channels * expansion
        self.temperature = nn.ParameterList(torch.ones(heads, 1, 1) for _ in range(2))
        self.query_key_value = nn.ModuleList(
            Projection(channels, 3 * channels) for _ in range(2))
        self.attended = nn.ModuleList(
            nn.Conv2d(channels, channels, 1, bias=False) for _ in range(2))
        self.gates = Projection(2 * channels, 2 * hidden)
        self.expand = nn.ModuleList(Projection(channels, hidden) for _ in range(2))
        self.select = nn.ModuleList(
            nn.Conv2d(hidden, 2 * channels, 1, bias=False) for _ in range(2))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Merge features (n, c, h, w) of two modalities into (n, 2 c, h, w)."""
        query_a, key_a, value_a = self.query_key_value[0](a).chunk(3, 1)
        query_b, key_b, value_b = self.query_key_value[1](b).chunk(3, 1)
        a = a + self.attended[0](attend(query_b, key_a, value_a, self.temperature[0]))
        b = b + self.attended[1](attend(query_a, key_b, value_b, self.temperature[1]))
        merged = torch.cat([a, b], 1)
        gates = self.gates(merged).chunk(2, 1)
        for i, x in enumerate((a, b)):
            merged = merged + self.select[i](functional.gelu(gates[i]) * self.expand[i](x))
        return merged
