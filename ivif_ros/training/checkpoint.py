# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a run and the state in it from which training goes on.

* `run.json`: method, command, seed, versions and all settings.
* `last.pt`: state of the newest saved step: networks, optimisers, moving average, scaler.
* `best.pt`: weights file of the best validation, for the network to be loaded from.
* `log.csv`: losses, learning rate and speed over the steps.
* `validation.csv`: metrics and score of each validation.
* `validation.png`: images of the newest validation.
* `tensorboard/`: the same for TensorBoard, where that is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ivif_ros.errors import OutputError, ParameterError, WeightsError

FORMAT = 1


class RunFolder:
    """Files of one run."""

    def __init__(self, path: Path) -> None:
        """Name the files; touches nothing."""
        self.path = path
        self.run = path / 'run.json'
        self.last = path / 'last.pt'
        self.best = path / 'best.pt'
        self.log = path / 'log.csv'
        self.validation = path / 'validation.csv'
        self.picture = path / 'validation.png'
        self.tensorboard = path / 'tensorboard'

    def check_free(self) -> None:
        """Make sure that a new run overwrites no other.

        Raises:
            OutputError: the folder holds a run already.
        """
        for path in (self.last, self.best):
            if path.exists():
                raise OutputError(
                    f"folder '{self.path}' holds another run ('{path.name}'): add --resume to go "
                    'on with it, or choose another folder with --out')

    def make(self) -> None:
        """Make the folder where there is none.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"folder '{self.path}' cannot be made: {error.strerror}") from error

    def load(self, method: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Read the state to go on from.

        Args:
            method: name of the recipe of this run.
            seed: seed of this run.
            settings: settings of this run; all but `steps` must be those of the state.

        Raises:
            WeightsError: no state, or one that cannot be read.
            ParameterError: the state of another method, seed or settings.
        """
        if not self.last.is_file():
            raise WeightsError(f"folder '{self.path}' has no run to resume ('{self.last.name}' is "
                               'missing); leave --resume out to start one')
        state = load_state(self.last)
        if state['method'] != method:
            raise ParameterError(f"folder '{self.path}' holds a run of '{state['method']}', not of "
                                 f"'{method}'; choose another folder with --out")
        old = {'seed': state['seed'], **_flat(state['settings'])}
        new = {'seed': seed, **_flat(settings)}
        other = [f'{name} was {old.get(name)!r} and is {new.get(name)!r}'
                 for name in sorted(old.keys() | new.keys())
                 if name != 'steps' and old.get(name) != new.get(name)]
        if other:
            raise ParameterError(f"run in '{self.path}' cannot go on with other settings: "
                                 f"{'; '.join(other)}. Give the same ones, or start a new run")
        return state

    def newest(self) -> dict[str, Any]:
        """Read the newest state, whatever the method, to take something out of it.

        Raises:
            WeightsError: no state, or one that cannot be read.
        """
        if not self.last.is_file():
            raise WeightsError(f"folder '{self.path}' has no run ('{self.last.name}' is missing)")
        return load_state(self.last)

    def describe(self, content: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_atomically(self.run, lambda part: part.write_text(
            json.dumps(content, indent=2, default=str) + '\n', encoding='utf-8'))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state, completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, lambda part: torch.save({'format': FORMAT, **state}, part))


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU.

    Raises:
        WeightsError: damaged file, or one of another kind.
    """
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition('\n')[0]
        raise WeightsError(f"state '{path}' cannot be read ({reason}); start the run anew, with "
                           '--init best.pt to keep what it has learned') from error
    if not isinstance(state, dict) or state.get('format') != FORMAT or 'objective' not in state:
        raise WeightsError(f"file '{path}' is not the state of a training run (format {FORMAT})")
    return state


def write_atomically(path: Path, write: Any) -> None:
    """Let a function write a file beside `path`, then put it in its place.

    A process that dies leaves the old file, or the new one, never half of one.

    Args:
        path: file to make or replace.
        write: called with the path to write to.

    Raises:
        OutputError: the file cannot be written.
    """
    part = path.with_name(f'{path.name}.part')
    try:
        write(part)
        with open(part, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(f"'{path}' cannot be written: {error}") from error


def _flat(settings: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f'{prefix}{name}.'))
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat
