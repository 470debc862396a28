# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters of a node, derived from the groups in `ivif_ros.parameters`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ivif_ros.errors import IvifError, ParameterError
from ivif_ros.parameters import ParameterSpec, from_dict, replace, specs
from ivif_ros.parameters.yaml_file import ROS_OWN

Group = TypeVar('Group')



def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Describe one parameter to ROS: meaning, unit, range, choices and whether it may change."""
    result = ParameterDescriptor()
    result.description = spec.description + (f' Unit: {spec.unit}.' if spec.unit else '')
    result.read_only = not spec.runtime
    if spec.choices:
        result.additional_constraints = 'one of: ' + ', '.join(spec.choices)
    if spec.minimum is not None and spec.maximum is not None:
        if isinstance(spec.default, float):
            result.floating_point_range = [FloatingPointRange(
                from_value=float(spec.minimum), to_value=float(spec.maximum), step=0.0)]
        elif isinstance(spec.default, int):
            result.integer_range = [IntegerRange(
                from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)]
    return result


class RosParameters(Generic[Group]):
    """Declares a group of parameters on a node and keeps its checked values.

    A start value that is impossible does not raise: it is kept as a problem, the parameter takes
    its default, and `values` raises the collected problems until each is set to something possible.

    Args:
        node: node to declare on.
        group: dataclass of parameters.
    """

    def __init__(self, node: Node, group: type[Group]) -> None:
        """Declare everything and read the start values."""
        self._group = group
        self._specs = {spec.name: spec for spec in specs(group)}
        self._problems: dict[str, str] = {}
        self._check: Callable[[Group, Group], None] | None = None
        values: dict[str, Any] = {}
        for spec in self._specs.values():
            values[spec.name] = self._declare(node, spec)
        self._values = from_dict(group, values)
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def values(self) -> Group:
        """The values that hold now.

        Raises:
            ParameterError: start values were impossible; names all of them.
        """
        self.check()
        return self._values

    def check(self) -> None:
        """Raise ParameterError where start values were impossible; names all of them."""
        if self._problems:
            raise ParameterError('; '.join(self._problems.values()))

    def on_change(self, check: Callable[[Group, Group], None] | None) -> None:
        """Say who takes changes while the node runs.

        Args:
            check: called with the old and new values before they hold; applies them, or raises
                IvifError to refuse them, in which case nothing changes. None for nobody.
        """
        self._check = check

    def _declare(self, node: Node, spec: ParameterSpec) -> Any:
        description = descriptor(spec)
        try:
            value = node.declare_parameter(spec.name, spec.default, description).value
            return spec.check(value)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            problem = str(error)
        except ParameterError as error:
            self._problems[spec.name] = str(error)
            return spec.default
        given = start_values(node).get(spec.name)
        value = spec.default
        try:
            # YAML writes 20 where a float is meant, which ROS refuses and people do not see.
            value = spec.check(given)
        except ParameterError as error:
            problem = str(error)
        else:
            problem = ''
        if problem:
            self._problems[spec.name] = problem
        node.declare_parameter(spec.name, value, description, ignore_override=True)
        return value

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changes = {item.name: item.value for item in parameters if item.name in self._specs}
        if not changes:
            return SetParametersResult(successful=True)
        try:
            values = replace(self._values, changes)
            if self._check is not None:
                self._check(self._values, values)
        except IvifError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values = values
        for name in changes:
            self._problems.pop(name, None)
        return SetParametersResult(successful=True)


def start_values(node: Node) -> Mapping[str, Any]:
    """Values that YAML files and the command line give to a node, declared or not."""
    # No public call tells about values of parameters that are not declared.
    overrides = getattr(node, '_parameter_overrides', {})
    return {name: item.value for name, item in overrides.items()}


def unknown_start_values(node: Node) -> list[str]:
    """One line for each start value that no parameter of the node takes, usually a typing error."""
    lines = []
    known = [item.name for item in node.get_parameters_by_prefix('').values()]
    for name in start_values(node):
        if not node.has_parameter(name) and not name.startswith(ROS_OWN):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ''
            lines.append(f"parameter '{name}' is set but does not exist{hint}")
    return lines
