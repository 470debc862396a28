# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Decide what is missing, build it in a temporary folder, and put it into an environment.

Python modules and the extension module go into site-packages, libraries into `<prefix>/lib`, the
.msg and .idl files and the type descriptions (.json) into `<prefix>/share/<package>/msg`, and an
entry into the ament index there.

A stamp beside the Python modules holds a hash of everything that the result depends on. A package
without our stamp belongs to somebody else, a ROS installation as a rule, and is never touched.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivif_ros.errors import OutputError
from ivif_ros.interfaces import compile as compilation
from ivif_ros.interfaces import generate as generation
from ivif_ros.interfaces.definitions import definitions, find_share

STAMP = 'ivif_interfaces.json'
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """Folders of an environment.

    Attributes:
        prefix: its root, `sys.prefix` for the running one.
    """

    prefix: Path

    @property
    def site_packages(self) -> Path:
        """Folder of Python packages."""
        if self.prefix == Path(sys.prefix):
            return Path(sysconfig.get_path('platlib'))
        version = f'python{sys.version_info.major}.{sys.version_info.minor}'
        return self.prefix / 'lib' / version / 'site-packages'

    @property
    def libraries(self) -> Path:
        """Folder of shared libraries."""
        return self.prefix / 'lib'

    def share(self, package: str) -> Path:
        """Folder of the interface files of a package."""
        return self.prefix / 'share' / package

    def stamp(self, package: str) -> Path:
        """File that says what an installed package was made from."""
        return self.site_packages / package / 'msg' / STAMP


def provider(package: str) -> Path | None:
    """Return the folder of a `<package>.msg` that was not made here, or None.

    Every entry of `sys.path` is looked at, as `ivif_ros` itself may lie in one and its messages in
    another.
    """
    for entry in sys.path:
        folder = Path(entry or os.curdir).resolve() / package / 'msg'
        spec = importlib.machinery.PathFinder.find_spec('msg', [str(folder.parent)])
        if spec is not None and spec.origin is not None and not (folder / STAMP).is_file():
            return folder
    return None


def fingerprint(package: str) -> str:
    """Hash of all that the result of `install` depends on."""
    versions = {}
    for name in ('rosidl_adapter', *generation.GENERATORS, 'std_msgs', 'geometry_msgs'):
        share = find_share(name)
        manifest = share / 'package.xml' if share is not None else None
        found = (re.search(r'<version>\s*(.*?)\s*</version>', manifest.read_text(encoding='utf-8'))
                 if manifest is not None and manifest.is_file() else None)
        versions[name] = found[1] if found else None
    # The binary interface of NumPy changes with its major version only.
    versions['numpy'] = np.__version__.split('.')[0]
    versions['python'] = sysconfig.get_config_var('EXT_SUFFIX')
    builder = [Path(file).read_text(encoding='utf-8')
               for file in (generation.__file__, compilation.__file__, __file__)]
    text = json.dumps([definitions(package), versions, builder], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_current(package: str, target: Target) -> bool:
    """Tell whether the installed package was made from the present definitions and tools."""
    try:
        stamp = json.loads(target.stamp(package).read_text())
    except (OSError, ValueError):
        return False
    complete = all((target.prefix / file).is_file() for file in stamp.get('files', ()))
    return complete and stamp.get('fingerprint') == fingerprint(package)


def install(package: str, target: Target, progress: Progress, jobs: int = 2) -> None:
    """Generate, compile and install one package.

    Args:
        package: one of `definitions.PACKAGES`.
        target: environment to install into.
        progress: called with a line for people at each step.
        jobs: number of compilers that run at once.

    Raises:
        MissingDependencyError: generators, compiler or dependencies are missing.
        OutputError: a compiler failed or the environment cannot be written.
    """
    compilation.check_toolchain()
    module_folder = target.site_packages / package
    _check_writable(target)
    rpath = os.path.relpath(target.libraries, module_folder)
    with tempfile.TemporaryDirectory(prefix='ivif_interfaces_') as folder:
        progress(f'{package}: generate sources')
        generated = generation.generate(package, definitions(package), Path(folder) / 'src')
        *libraries, module = compilation.compile_package(
            generated, Path(folder) / 'out', rpath, jobs, lambda what: progress(f'{what}, compile'))
        progress(f'{package}: install into {target.prefix}')
        files = {library: target.libraries / library.name for library in libraries}
        files[module] = module_folder / module.name
        modules = generated.root / 'rosidl_generator_py' / package / 'msg'
        files |= {file: module_folder / 'msg' / file.name for file in modules.glob('*.py')}
        files |= {file: target.share(package) / 'msg' / file.name
                  for file in (generated.share / 'msg').iterdir()}
        _put(package, target, files)


def _check_writable(target: Target) -> None:
    try:
        for folder in (target.site_packages, target.libraries, target.prefix / 'share'):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise OutputError(
            f'cannot install into {target.prefix} ({error}); use a virtual environment that you '
            'own, or name another folder with --prefix') from error


def _put(package: str, target: Target, files: dict[Path, Path]) -> None:
    stamp = target.stamp(package)
    if stamp.is_file():     # Modules of an older definition must not linger.
        shutil.rmtree(stamp.parent)
    for source, goal in files.items():
        goal.parent.mkdir(parents=True, exist_ok=True)
        # A running process may have the old file mapped: replace it, never write into it.
        partial = goal.with_name(f'.{goal.name}.{os.getpid()}')
        shutil.copyfile(source, partial)
        os.replace(partial, goal)
    if package != 'ivif_ros':
        # That one has its own __init__.py, here or in another folder of the same name.
        (target.site_packages / package / '__init__.py').touch()
    index = target.prefix / 'share' / 'ament_index' / 'resource_index' / 'rosidl_interfaces'
    index.mkdir(parents=True, exist_ok=True)
    names = sorted(f'msg/{goal.name}' for goal in files.values() if goal.suffix in ('.msg', '.idl'))
    (index / package).write_text('\n'.join(names))
    installed = sorted(os.path.relpath(goal, target.prefix) for goal in files.values())
    stamp.write_text(json.dumps(
        {'fingerprint': fingerprint(package), 'files': installed}, indent=1))
