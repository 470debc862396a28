# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters from ROS parameter files and from text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ivif_ros.errors import ParameterError
from ivif_ros.parameters.groups import Parameters
from ivif_ros.parameters.node import NodeParameters
from ivif_ros.parameters.spec import Value, from_dict, specs, to_dict

NODE_NAME = 'ivif_node'
"""Node whose sections of a parameter file count, beside those with a wildcard."""

ROS_OWN = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')
"""Beginnings of the names that ROS itself declares on each node."""


def load_parameters(path: Path | str, node: str = NODE_NAME) -> dict[str, Value]:
    """Read the parameters of the pipeline from a ROS parameter file.

    Sections for `/**` and for the node count, in the order of the file; sections of other nodes,
    and parameters that only a node has (how it starts, ROS's own), are left out. Groups may be
    nested or written with dots.

    Args:
        path: YAML file such as config/fusion.yaml.
        node: name of the node without namespace.

    Returns:
        Full name -> value in the type of the parameter, for `from_dict` and `replace`.

    Raises:
        ParameterError: unreadable file, no section that counts, unknown name or impossible value.
    """
    document = _document(Path(path))
    sections = list(_sections(document, ''))
    if not sections:
        raise ParameterError(
            f"parameter file '{path}' has no 'ros__parameters'; the parameters stand below "
            "'/**:' and 'ros__parameters:'")
    ours = [content for name, content in sections
            if name.rsplit('/', 1)[-1] in ('*', '**', node)]
    if not ours:
        raise ParameterError(
            f"parameter file '{path}' has sections for {', '.join(name for name, _ in sections)}, "
            f"expected '/**' or '{node}'")
    values: dict[str, Any] = {}
    for content in ours:
        values.update(_flat(content, ''))
    of_nodes = {spec.name for spec in specs(NodeParameters)}
    values = {name: value for name, value in values.items()
              if name not in of_nodes and not name.startswith(ROS_OWN)}
    try:
        checked = to_dict(from_dict(Parameters, values))
    except ParameterError as error:
        raise ParameterError(f"parameter file '{path}': {error}") from error
    return {name: checked[name] for name in values}


def parse_setting(text: str, group: type = Parameters) -> tuple[str, Value]:
    """Read `group.name=value` as it is given on a command line.

    Lists are separated by commas; texts need no quotes.

    Args:
        text: name and value.
        group: dataclass of the parameters that may be named.

    Returns:
        Full name and value in the type of the parameter.

    Raises:
        ParameterError: no `=`, unknown name or impossible value.
    """
    name, found, word = text.partition('=')
    if not found:
        raise ParameterError(f"setting '{text}' has no value, expected NAME=VALUE")
    defaults = {spec.name: spec.default for spec in specs(group)}
    value = _typed(word, defaults[name]) if name in defaults else word
    return name, to_dict(from_dict(group, {name: value}))[name]


def _typed(word: str, default: Value) -> Any:
    """Read a word as the type of a default; what cannot be read stays text, for the check."""
    if isinstance(default, bool):
        return {'true': True, 'false': False}.get(word.lower(), word)
    if isinstance(default, list):
        return [item.strip() for item in word.split(',')]
    if isinstance(default, str):
        return word
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _document(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"parameter file '{path}' cannot be read: "
            f'{getattr(error, "strerror", None) or error}') from error
    except yaml.YAMLError as error:
        reason = ' '.join(str(error).split())
        raise ParameterError(f"parameter file '{path}' is not YAML: {reason}") from error


def _sections(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield node name (with namespace) and content of each `ros__parameters` below a tree."""
    if not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        if key == 'ros__parameters':
            yield name, value
        else:
            yield from _sections(value, f'{name}/{key}'.replace('//', '/'))


def _flat(tree: Any, prefix: str) -> dict[str, Any]:
    """Join nested groups to names with dots."""
    if not isinstance(tree, Mapping):
        return {}
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat
