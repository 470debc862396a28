# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Data-parallel training: the processes that torchrun starts, and what they tell each other.

Gradients are averaged by hand, in one message per group, instead of through
`DistributedDataParallel`: an objective has several groups of parameters and several forward passes
a step, which a wrapper around one forward pass does not fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import groupby
from types import TracebackType

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.device import select_device


class Processes:
    """All processes of a training run; a single one unless torchrun started this.

    Attributes:
        rank: number of this process; 0 writes files and validates.
        world: number of processes.
        device: device of this process.
    """

    def __init__(self, device: str) -> None:
        """Join the others.

        Args:
            device: `auto`, `cpu`, `cuda` or `cuda:N`. With several processes on CUDA each takes
                the device of its local rank.

        Raises:
            ParameterError: a device that does not work, or one device for several processes.
        """
        self.rank = int(os.environ.get('RANK', '0'))
        self.world = int(os.environ.get('WORLD_SIZE', '1'))
        chosen, self.reason = select_device(device)
        if self.world > 1 and chosen.type == 'cuda':
            if ':' in device:
                raise ParameterError(f"device is '{device}' for {self.world} processes, expected "
                                     'cuda: each of them takes the device of its local rank')
            local = os.environ.get('LOCAL_RANK', '0')
            chosen, self.reason = select_device(f'cuda:{local}')
            torch.cuda.set_device(chosen)
        self.device = chosen
        self._owns_group = self.world > 1 and not dist.is_initialized()
        if self._owns_group:
            dist.init_process_group('nccl' if chosen.type == 'cuda' else 'gloo')

    def __enter__(self) -> Processes:
        """Nothing to do: the processes meet when this is made."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the others."""
        if self._owns_group:
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """True in the process that writes."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace gradients by their mean over all processes, in place.

        Args:
            parameters: the same ones in the same order in every process.
            loss: scalar of this process.

        Returns:
            Mean loss; not finite if that of any process is not.
        """
        if self.world == 1:
            return loss
        for parameter in parameters:
            # A parameter may be without gradient in one process only: the messages must match.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        values = [loss.reshape(1), *(p.grad for p in parameters if p.grad is not None)]
        self._together(values, lambda flat: dist.all_reduce(flat.div_(self.world)))
        return values[0][0]

    def spread(self, module: nn.Module, buffers_only: bool = False) -> None:
        """Give all processes the parameters and buffers of the first one, in place."""
        if self.world == 1:
            return
        values = [*module.buffers()]
        if not buffers_only:
            values += [p.detach() for p in module.parameters()]
        self._together(values, lambda flat: dist.broadcast(flat, 0))

    def agree(self, flag: bool) -> bool:
        """Tell whether any process says so; all of them must ask."""
        if self.world == 1:
            return flag
        votes = torch.tensor([int(flag)], device=self.device)
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        return bool(votes.item())

    @staticmethod
    def _together(values: list[Tensor], talk: Callable[[Tensor], object]) -> None:
        """Send tensors as one message per type, in place."""
        for _, same in groupby(sorted(values, key=lambda v: str(v.dtype)), lambda v: v.dtype):
            part = list(same)
            flat = torch.cat([v.reshape(-1) for v in part])
            talk(flat)
            for value, new in zip(part, flat.split([v.numel() for v in part]), strict=True):
                value.copy_(new.view_as(value))
