# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files with the weights of the networks of this package.

A file holds a dictionary of plain values and tensors, `{'format': 1, 'network': name, 'config':
keyword arguments, 'state': state_dict, 'training': how it was made}`. It is read with PyTorch's
`weights_only`, which runs no code from the file.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import IvifError, OutputError, WeightsError

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1


@dataclass(frozen=True)
class WeightsKind:
    """What the weights are of, in the words of the messages about their files.

    Attributes:
        noun: what a name in the file names, for example 'fusion method'.
        trainer: module whose training writes such files.
        if_missing: what to do where there is no such file.
        if_other: what to do with a file of another program, a sentence.
        error: type of the errors about a file that cannot be used.
    """

    noun: str
    trainer: str
    if_missing: str
    if_other: str = ''
    error: type[IvifError] = WeightsError

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Read a weights file without making the network.

        Raises:
            IvifError: of type `error`: missing or unreadable file, or one of another kind.
        """
        import torch

        if not Path(path).is_file():
            raise self.error(f"weights file '{path}' does not exist; {self.if_missing}")
        try:
            content = torch.load(path, map_location='cpu', weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError,
                pickle.UnpicklingError) as error:
            reason = str(error).partition('\n')[0]
            raise self.error(
                f"weights file '{path}' is damaged or of another kind ({reason}); expected a file "
                f'that {self.trainer} wrote: copy it again') from error
        if not isinstance(content, dict) or content.get('format') != FORMAT or not {
                'network', 'config', 'state'} <= content.keys():
            raise self.error(
                f"weights file '{path}' is not a weights file of ivif_ros (format {FORMAT}); "
                f'expected a file that {self.trainer} wrote. {self.if_other}'.rstrip())
        return content

    def check_network(self, content: Mapping[str, Any], path: str | os.PathLike[str],
                      name: str) -> None:
        """Make sure that a file is about a network.

        Args:
            content: what `read` gave.
            path: the file, for the message.
            name: name of the network that is wanted.

        Raises:
            IvifError: of type `error`: it is about another one.
        """
        if content['network'] != name:
            raise self.error(
                f"weights file '{path}' belongs to {self.noun} '{content['network']}', expected "
                f"'{name}'; use it with that {self.noun}, or choose another file")

    def restore(self, module: nn.Module, content: Mapping[str, Any],
                path: str | os.PathLike[str], name: str) -> None:
        """Load the weights into a network, in place.

        Args:
            module: the network.
            content: what `read` gave.
            path: the file, for the message.
            name: name of the network, for the message.

        Raises:
            IvifError: of type `error`: they do not fit.
        """
        try:
            module.load_state_dict(content['state'])
        except RuntimeError as error:
            reason = ' '.join(str(error).split())[:200]
            raise self.error(
                f"weights file '{path}' does not fit {self.noun} '{name}' of this version and with "
                f'these settings ({reason}); train it again') from error


def save_weights(path: str | os.PathLike[str], network_name: str, config: Mapping[str, Any],
                 module: nn.Module, training: Mapping[str, Any]) -> None:
    """Write the weights of a network, completely or not at all.

    Args:
        path: file, `.pt` by custom.
        network_name: name of the network.
        config: keyword arguments that make the network again.
        module: the network; its weights are stored in the type that they have.
        training: plain values that say how it was made (command, steps, seed, metrics).

    Raises:
        OutputError: the file cannot be written.
    """
    import torch

    path = Path(path)
    state = {key: value.detach().cpu() for key, value in module.state_dict().items()}
    content = {'format': FORMAT, 'network': network_name, 'config': dict(config), 'state': state,
               'training': dict(training)}
    part = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(f"weights '{path}' cannot be written: {error}") from error
