# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recipe: network, objective, data and settings of one training, and changes to it by name."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch import nn

from ivif_ros.errors import ParameterError
from ivif_ros.training.batch import Movable
from ivif_ros.training.objective import Objective
from ivif_ros.training.validate import Validation

SCHEDULES = ('cosine', 'constant')
R = TypeVar('R', bound='Recipe')


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that makes the weights of a network, apart from the data themselves.

    The settings here are those of every training. A derived class adds those of its task, among
    them `data`, what the batches are made of, and says by its methods what the network is, where
    batches come from, what validation measures, and how weights are stored.

    Attributes:
        name: name of what is trained.
        objective: makes the objective of a network.
        score: validation metrics -> one number, higher is better, which chooses the best weights.
        config: keyword arguments of the network.
        steps: number of steps.
        batch_size: pairs a step, over all processes.
        learning_rate: peak of the learning rate (AdamW).
        schedule: 'cosine' falls to `final_rate` of the peak, 'constant' stays there.
        final_rate: fraction of the peak that the cosine ends at.
        warmup: steps in which the learning rate rises linearly from near zero.
        weight_decay: decoupled weight decay (AdamW); 0 is Adam.
        betas: decay of the two moments of AdamW.
        clip_norm: largest L2 norm of the gradient of a group; 0 does not clip.
        ema: decay of the moving average of the weights, which is then validated and shipped;
            0 for none.
        validate_every: steps between two validations; the state is saved with each of them.
        validation_pairs: at most so many pairs of each data set.
    """

    SHIP_LIMIT_BYTES: ClassVar[int] = 8_000_000
    """Weights larger than this do not go into the package."""

    name: str
    objective: Callable[[nn.Module], Objective]
    score: Callable[[Mapping[str, float]], float]
    config: dict[str, Any] = field(default_factory=dict)
    steps: int = 10000
    batch_size: int = 8
    learning_rate: float = 1e-3
    schedule: str = 'cosine'
    final_rate: float = 0.01
    warmup: int = 200
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    ema: float = 0.0
    validate_every: int = 500
    validation_pairs: int = 8

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a setting that cannot be trained with.
        """
        for name, low in (('steps', 1), ('batch_size', 1), ('warmup', 0), ('weight_decay', 0),
                          ('clip_norm', 0), ('validate_every', 1), ('validation_pairs', 1)):
            self._check_least(name, low)
        if not 0 < self.learning_rate < math.inf:
            raise ParameterError(f'learning_rate is {self.learning_rate}, expected more than 0')
        if self.schedule not in SCHEDULES:
            raise ParameterError(
                f"schedule is '{self.schedule}', expected one of {', '.join(SCHEDULES)}")
        for name in ('ema', 'final_rate'):
            if not 0 <= getattr(self, name) <= 1 or (name == 'ema' and self.ema == 1):
                raise ParameterError(f'{name} is {getattr(self, name)}, expected 0 to 1')

    def _check_least(self, name: str, low: int) -> None:
        if not (getattr(self, name) >= low and math.isfinite(getattr(self, name))):
            raise ParameterError(f'{name} is {getattr(self, name)}, expected {low} or more')

    def build(self) -> nn.Module:
        """Make the network with fresh weights, from PyTorch's default generator.

        Raises:
            ParameterError: unknown network, or a `config` that it does not take.
        """
        raise NotImplementedError

    def batches(self, root: Path, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> Iterator[Movable]:
        """Yield training batches for ever; batch k depends on seed, k and rank only.

        Args:
            root: folder of the training data.
            seed: chooses the sequence.
            start_step: number of the first batch.
            rank: number of this process among `world`.
            world: number of processes, which share `batch_size`.
            workers: processes that prepare batches ahead; 0 prepares them when asked for.

        Raises:
            ParameterError: an argument out of range.
            SourceError: data that are missing or cannot be read.
        """
        raise NotImplementedError

    def validation(self, root: Path, objective: Objective) -> Validation:
        """Read what the network is validated on.

        Args:
            root: folder of the training data.
            objective: what is trained, for a validation that asks more of it than the network.

        Raises:
            SourceError: no validation data.
        """
        raise NotImplementedError

    def save(self, path: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
        """Write a weights file that the rest of the package can load.

        Args:
            path: file.
            network: what `build` made, trained.
            training: plain values that say how it was made.

        Raises:
            OutputError: the file cannot be written.
        """
        raise NotImplementedError

    def start_from(self, network: nn.Module, path: Path) -> None:
        """Load the weights of a file into a network, in place.

        Raises:
            IvifError: a file that is missing, damaged or of something else.
        """
        raise NotImplementedError

    def shipped_path(self) -> Path:
        """Where weights of this recipe lie in the package, there or not."""
        raise NotImplementedError

    def rate(self, step: int) -> float:
        """Learning rate of a step (counted from 0): linear warm-up, then the schedule.

        The cosine is that of Loshchilov and Hutter (2017), without restarts.
        """
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == 'constant':
            return self.learning_rate * warm
        done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        fall = self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * min(1, done))) / 2
        return self.learning_rate * warm * fall

    def changed(self: R, settings: Iterable[str]) -> R:
        """Return a copy with settings changed.

        Args:
            settings: texts 'name=value'; 'data.name=value' and 'config.name=value' reach the
                settings of the data and of the network.

        Raises:
            ParameterError: unknown name (with the nearest known one), or a value of a wrong type.
        """
        recipe = self
        for setting in settings:
            name, given, text = setting.partition('=')
            if not (name and given):
                raise ParameterError(f"setting is '{setting}', expected NAME=VALUE")
            recipe = _changed(recipe, name, name.split('.'), text)
        return recipe

    def settings(self) -> dict[str, Any]:
        """Plain values of all settings, for the run folder and to compare a resumed run with."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items() if not callable(value)}


def _plain(value: Any) -> Any:
    """Bring a setting to what a file takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return list(value) if isinstance(value, tuple) else value


def _changed(node: Any, full: str, parts: list[str], text: str) -> Any:
    """Copy a dataclass or dict with the value at a path replaced."""
    name, rest = parts[0], parts[1:]
    if isinstance(node, dict):
        return {**node, name: _value(full, text, node.get(name))}
    known = [item.name for item in dataclasses.fields(node)
             if not callable(getattr(node, item.name))]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise ParameterError(
            f"unknown setting '{full}', expected one of {', '.join(sorted(known))}{hint}")
    old = getattr(node, name)
    inner = dataclasses.is_dataclass(old) or isinstance(old, dict)
    if inner != bool(rest):
        raise ParameterError(f"setting '{full}' is " + (
            f"a group, expected '{full}.NAME=VALUE'" if inner else 'a plain value, without parts'))
    new = _changed(old, full, rest, text) if rest else _value(full, text, old)
    return dataclasses.replace(node, **{name: new})


def _value(name: str, text: str, old: Any) -> Any:
    """Read a value in the type of the one that it replaces."""
    if isinstance(old, str):
        return text
    try:
        value = ast.literal_eval({'true': 'True', 'false': 'False'}.get(text.lower(), text))
    except (ValueError, SyntaxError):
        value = tuple(filter(None, text.split(','))) if isinstance(old, tuple) else text
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, (list, tuple)):
        value = tuple(value)
    if old is not None and type(value) is not type(old):
        raise ParameterError(
            f"setting '{name}' is '{text}', expected {type(old).__name__} like {old!r}")
    return value
