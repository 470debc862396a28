# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: all kernels of one pair as a single launch.

On a fast GPU a pair of 640x480 costs more in launches than in arithmetic. A graph replays the very
kernels, addresses and numbers of its recording, so it belongs to one size of the images and must go
when anything else changes (`reset`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

Inputs = tuple['Tensor | None', ...]

WARM_UP = 3
"""Calls of one size before the recording: libraries choose their algorithms in them."""

_log = logging.getLogger(__name__)


class Graphed:
    """A function of tensors that is recorded on CUDA after a few calls of the same shapes.

    There is one recording at a time, so that no other call uses the memory it works in.

    Args:
        function: takes tensors (or None) and returns a new tensor; it must neither wait for the
            device nor decide by values on it.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        """Record nothing yet."""
        self._function = function
        self.reset()

    @property
    def recorded(self) -> bool:
        """True while calls are replayed."""
        return self._graph is not None

    def reset(self) -> None:
        """Forget the recording, because the function will do something else from now on."""
        self.problem = ''
        self._key: tuple[object, ...] = ()
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Inputs = ()
        self._output: Tensor | None = None

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """Call the function, or replay it.

        Returns:
            A tensor of the caller's own.
        """
        key = tuple(None if item is None else (item.shape, item.dtype) for item in inputs)
        if key != self._key:
            self.reset()
            self._key = key
        self._calls += 1
        if self._graph is None and self._calls > WARM_UP and not self.problem:
            self._record(inputs)
        if self._graph is None:
            return self._function(*inputs)
        for own, item in zip(self._inputs, inputs, strict=True):
            if own is not None and item is not None:
                own.copy_(item)
        self._graph.replay()
        assert self._output is not None
        return self._output.clone()

    def _record(self, inputs: Inputs) -> None:
        own = tuple(None if item is None else item.clone() for item in inputs)
        device = next(item.device for item in own if item is not None)
        try:
            with torch.cuda.device(device):
                # Once more on a side stream, as graph capture asks for.
                stream = torch.cuda.Stream()
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    self._function(*own)
                torch.cuda.current_stream().wait_stream(stream)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    output = self._function(*own)
        except RuntimeError as error:
            self.problem = str(error).partition('\n')[0]
            _log.warning('fusion goes on without a CUDA graph: %s', self.problem)
            return
        self._graph, self._inputs, self._output = graph, own, output
