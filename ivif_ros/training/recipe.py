# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recipe: network, objective, data and settings of one method, and changes to it by name."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ivif_ros.errors import ParameterError
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.objective import Objective

SCHEDULES = ('cosine', 'constant')


def balanced_score(metrics: Mapping[str, float]) -> float:
    """Weigh fidelity to both sources: VIF + Qabf + SSIM + SCD / 2, higher is better.

    EN, SD, SF and AG take no part: they rise with noise.
    """
    return metrics['VIF'] + metrics['Qabf'] + metrics['SSIM'] + metrics['SCD'] / 2


@dataclass(frozen=True)
class Recipe:
    """All that makes the weights of a method, apart from the data themselves.

    Attributes:
        name: name of the method and of its weights.
        network: name in `ivif_ros.fusion.networks.NETWORKS`.
        objective: makes the objective of a network.
        config: keyword arguments of the network.
        steps: number of steps.
        batch_size: pairs a step, over all processes.
        crop: side of the crops in pixels.
        learning_rate: peak of the learning rate (AdamW).
        schedule: 'cosine' falls to `final_rate` of the peak, 'constant' stays there.
        final_rate: fraction of the peak that the cosine ends at.
        warmup: steps in which the learning rate rises linearly from near zero.
        weight_decay: decoupled weight decay (AdamW); 0 is Adam.
        betas: decay of the two moments of AdamW.
        clip_norm: largest L2 norm of the gradient of a group; 0 does not clip.
        ema: decay of the moving average of the weights, which is then validated and shipped;
            0 for none.
        data: what the batches are made of.
        validate_every: steps between two validations; the state is saved with each of them.
        validation_pairs: at most so many pairs of each data set.
        score: validation metrics -> one number, higher is better, which chooses the best weights.
    """

    name: str
    network: str
    objective: Callable[[nn.Module], Objective]
    config: dict[str, Any] = field(default_factory=dict)
    steps: int = 10000
    batch_size: int = 8
    crop: int = 128
    learning_rate: float = 1e-3
    schedule: str = 'cosine'
    final_rate: float = 0.01
    warmup: int = 200
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    ema: float = 0.0
    data: DataConfig = field(default_factory=DataConfig)
    validate_every: int = 500
    validation_pairs: int = 8
    score: Callable[[dict[str, float]], float] = balanced_score

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a setting that cannot be trained with.
        """
        for name, low in (('steps', 1), ('batch_size', 1), ('crop', 8), ('warmup', 0),
                          ('weight_decay', 0), ('clip_norm', 0), ('validate_every', 1),
                          ('validation_pairs', 1)):
            if not (getattr(self, name) >= low and math.isfinite(getattr(self, name))):
                raise ParameterError(f'{name} is {getattr(self, name)}, expected {low} or more')
        if not 0 < self.learning_rate < math.inf:
            raise ParameterError(f'learning_rate is {self.learning_rate}, expected more than 0')
        if self.schedule not in SCHEDULES:
            raise ParameterError(
                f"schedule is '{self.schedule}', expected one of {', '.join(SCHEDULES)}")
        for name in ('ema', 'final_rate'):
            if not 0 <= getattr(self, name) <= 1 or (name == 'ema' and self.ema == 1):
                raise ParameterError(f'{name} is {getattr(self, name)}, expected 0 to 1')

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

    def changed(self, settings: Iterable[str]) -> Recipe:
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
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)
                  if item.name not in ('objective', 'score', 'data')}
        return {**values, 'betas': list(self.betas), 'data': dataclasses.asdict(self.data)}


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
