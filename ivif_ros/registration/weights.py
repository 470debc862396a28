# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of the registration network: those of the package, and those of other files.

The files are described in `ivif_ros.weights_file`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import WeightsError
from ivif_ros.weights_file import WeightsKind, save_weights

if TYPE_CHECKING:
    from torch import nn

    from ivif_ros.registration.network import RegistrationNetwork

PATH = Path(__file__).with_name('weights') / 'registration.pt'
"""The weights that come with the package."""

_NAME = 'registration'
_KIND = WeightsKind(
    'network', 'ivif_ros.training.registration',
    if_missing='correct the path, or train the network (python -m ivif_ros.training.registration '
               '--help)')


def save_network(path: str | os.PathLike[str], network: RegistrationNetwork,
                 training: Mapping[str, Any]) -> None:
    """Write the weights of a network, completely or not at all.

    Args:
        path: file, `.pt` by custom.
        network: the network; its weights are stored in the type that they have.
        training: plain values that say how it was made (command, steps, seed, metrics).

    Raises:
        OutputError: the file cannot be written.
    """
    save_weights(path, _NAME, network.config, network, training)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a weights file of registration without making the network.

    Raises:
        WeightsError: a file that is missing, damaged or of another network.
    """
    content = _KIND.read(path)
    _KIND.check_network(content, path, _NAME)
    return content


def restore(network: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load the weights of a file into a network, in place.

    Raises:
        WeightsError: a file that is missing, damaged, or of another network or configuration.
    """
    _KIND.restore(network, read_weights(path), path, _NAME)


def load_network(path: str | os.PathLike[str] = '') -> RegistrationNetwork:
    """Make the network with trained weights, in `eval()` mode, float32, on the CPU.

    Args:
        path: weights file; empty for the one in the package.

    Raises:
        WeightsError: a file that is missing, damaged, or of another network or version.
    """
    from ivif_ros.registration.network import RegistrationNetwork

    path = path or PATH
    content = read_weights(path)
    try:
        network = RegistrationNetwork(**content['config'])
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"weights file '{path}' has a configuration that this version does not know "
            f'({error}); train the network again') from error
    _KIND.restore(network, content, path, _NAME)
    network.float().eval()
    return network
