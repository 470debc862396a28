# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How a parameter is described once: default, range, unit, meaning, and whether it may change.

A group of parameters is a frozen dataclass whose fields are made by `parameter`. ROS declarations,
YAML, the command line and the table in the docs are all derived from the same fields.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from ivif_ros.errors import ParameterError

Value = bool | int | float | str | list[str] | list[float]
Group = TypeVar('Group')


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """One parameter, by its full name.

    Attributes:
        name: full name, `group.field`, or `field` for those without a group.
        default: value that holds when nothing is said; its type is the type of the parameter.
        description: one sentence for people.
        unit: unit of the value, empty for none.
        minimum: smallest allowed number, or None.
        maximum: largest allowed number, or None.
        choices: allowed values of a text; empty for any.
        runtime: True where a running node takes a new value at once.
    """

    name: str
    default: Value
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    runtime: bool = False

    def check(self, value: Any) -> Any:
        """Return the value in the parameter's type.

        Raises:
            ParameterError: wrong type, not finite, out of range or not a choice.
        """
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is list and isinstance(value, tuple):
            value = list(value)
        if type(value) is not kind:
            raise ParameterError(
                f"parameter '{self.name}' is {value!r} ({type(value).__name__}), "
                f'expected {kind.__name__}')
        if isinstance(value, (int, float)) and kind is not bool:
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not (math.isfinite(value) and low <= value <= high):
                raise ParameterError(
                    f"parameter '{self.name}' is {value}, expected {low:g} to {high:g} "
                    f'{self.unit}'.rstrip())
        if self.choices and value not in self.choices:
            raise ParameterError(
                f"parameter '{self.name}' is '{value}', expected one of {list(self.choices)}")
        return value


def parameter(
        default: Value, description: str, *, unit: str = '', minimum: float | None = None,
        maximum: float | None = None, choices: tuple[str, ...] = (), runtime: bool = False) -> Any:
    """Make a dataclass field that carries the description of a parameter (see ParameterSpec)."""
    metadata = {'description': description, 'unit': unit, 'minimum': minimum, 'maximum': maximum,
                'choices': choices, 'runtime': runtime}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def specs(group: type, prefix: str = '') -> Iterator[ParameterSpec]:
    """Yield the specifications of a dataclass of parameters, nested groups included."""
    for item in dataclasses.fields(group):
        if 'description' in item.metadata:
            default = (item.default if item.default_factory is dataclasses.MISSING
                       else item.default_factory())
            yield ParameterSpec(prefix + item.name, cast('Value', default), **item.metadata)
        else:
            yield from specs(cast('type', item.default_factory), f'{prefix}{item.name}.')


def to_dict(group: Any) -> dict[str, Value]:
    """Flatten a group to `full name -> value`."""
    values = {}
    for spec in specs(type(group)):
        node = group
        for part in spec.name.split('.'):
            node = getattr(node, part)
        values[spec.name] = node
    return values


def from_dict(group: type[Group], values: Mapping[str, Any]) -> Group:
    """Build a group from `full name -> value`; what is not named keeps its default.

    Raises:
        ParameterError: unknown name (with the nearest known one) or impossible value.
    """
    known = {spec.name: spec for spec in specs(group)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ''
            raise ParameterError(f"unknown parameter '{name}'{hint}")
    checked = {name: known[name].check(value) for name, value in values.items()}
    return _build(group, checked, '')


def _build(group: type[Group], values: Mapping[str, Value], prefix: str) -> Group:
    arguments: dict[str, Any] = {}
    for item in dataclasses.fields(group):  # type: ignore[arg-type]
        name = prefix + item.name
        if 'description' not in item.metadata:
            arguments[item.name] = _build(
                item.default_factory, values, name + '.')  # type: ignore[arg-type]
        elif name in values:
            arguments[item.name] = values[name]
    return group(**arguments)


def replace(group: Group, changes: Mapping[str, Any]) -> Group:
    """Return a copy of a group with some values changed, all of them checked.

    Raises:
        ParameterError: unknown name or impossible value; nothing is changed then.
    """
    return from_dict(type(group), {**to_dict(group), **changes})
