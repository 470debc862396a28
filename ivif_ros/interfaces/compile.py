# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Generated sources -> shared libraries and the extension module, by gcc and g++ alone.

A library is compiled as one unit that includes its sources, because the headers cost far more than
the code; only the type descriptions, which repeat static names, are compiled one by one. Libraries
carry a run path relative to themselves, so the dynamic loader needs no variable for them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivif_ros.errors import MissingDependencyError, OutputError
from ivif_ros.interfaces.definitions import ros_prefixes
from ivif_ros.interfaces.generate import Generated

FASTRTPS = ('fastcdr', 'rosidl_typesupport_fastrtps_c', 'rosidl_typesupport_fastrtps_cpp')


@dataclass(frozen=True)
class Library:
    """How one library of a message package is made.

    Attributes:
        suffix: name after `<package>__`.
        generator: folder of its sources.
        sources: pattern of its sources below `<package>/`.
        own: suffixes of libraries of the same package that it needs.
        others: suffixes of the libraries that it needs of each package it depends on.
        system: further libraries, without `lib`.
    """

    suffix: str
    generator: str
    sources: str
    own: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    system: tuple[str, ...] = ()

    @property
    def compiler(self) -> str:
        """Gcc or g++, by the ending of the sources."""
        return 'g++' if self.sources.endswith('.cpp') else 'gcc'


_C, _PY = 'rosidl_generator_c', 'rosidl_generator_py'
_TYPESUPPORT, _FASTRTPS_C = 'rosidl_typesupport_c', 'rosidl_typesupport_fastrtps_c'
_INTROSPECTION_C = 'rosidl_typesupport_introspection_c'
LIBRARIES = (
    Library(_C, _C, 'msg/detail/*.c', (), (_C,)),
    Library(_INTROSPECTION_C, _INTROSPECTION_C, 'msg/detail/*.c', (_C,), (_C, _INTROSPECTION_C),
            (_INTROSPECTION_C,)),
    Library(_FASTRTPS_C, _FASTRTPS_C, 'msg/detail/*.cpp', (_C,), (_C, _FASTRTPS_C),
            (*FASTRTPS, 'rmw')),
    # The dispatching type support opens the other two by name; being linked, they are found.
    Library(_TYPESUPPORT, _TYPESUPPORT, 'msg/*.cpp', (_C, _FASTRTPS_C, _INTROSPECTION_C),
            (_TYPESUPPORT,), (_TYPESUPPORT,)),
    Library(_PY, _PY, 'msg/*.c', (_C, _TYPESUPPORT), (_C, _PY)),
)
"""Libraries in the order in which they are linked."""


def module_file(package: str) -> str:
    """File name of the extension module that `rosidl_generator_py` imports."""
    return f'{package}_s__{_TYPESUPPORT}{sysconfig.get_config_var("EXT_SUFFIX")}'


def check_toolchain() -> None:
    """Look for what a compilation needs.

    Raises:
        MissingDependencyError: no compiler or no Python headers; the message says what to install.
    """
    missing = [name for name in ('gcc', 'g++') if shutil.which(name) is None]
    if missing:
        raise MissingDependencyError(
            f'{" and ".join(missing)} not found, needed to compile messages; '
            'install them (Debian, Ubuntu: sudo apt install gcc g++)')
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        raise MissingDependencyError(
            f'{header} not found, needed to compile messages; install the headers of this Python '
            '(Debian, Ubuntu: sudo apt install python3-dev)')


def compile_package(generated: Generated, output: Path, module_rpath: str, jobs: int,
                    progress: Callable[[str], None]) -> list[Path]:
    """Compile and link everything of one package.

    Args:
        generated: its sources.
        output: folder for the libraries and the extension module.
        module_rpath: way from the extension module to the folder of libraries, where they will lie.
        jobs: number of compilers that run at once.
        progress: called with the name of each library that is being compiled.

    Returns:
        Libraries in order of linking; the extension module is the last.

    Raises:
        OutputError: a compiler failed; the message holds its first lines.
    """
    package = generated.package
    output.mkdir(parents=True)
    module = Library('module', _PY, '_*.ep.rosidl_typesupport_c.c')
    units = [*LIBRARIES, module]

    def compile_unit(unit: Library) -> list[Path]:
        progress(f'{package}: {unit.suffix}')
        return _compile(generated, unit, output)

    with ThreadPoolExecutor(jobs) as pool:
        # The C++ units take longest, so they go first.
        slow = sorted(units, key=lambda unit: unit.compiler != 'g++')
        objects = dict(zip(slow, pool.map(compile_unit, slow), strict=True))

    made = []
    for library in LIBRARIES:
        file = output / f'lib{package}__{library.suffix}.so'
        needed = [f'{package}__{suffix}' for suffix in library.own]
        needed += [f'{other}__{suffix}' for other in generated.dependencies
                   for suffix in library.others]
        needed += [*library.system, 'rosidl_runtime_c', 'rcutils']
        _link(library.compiler, objects[library], file, needed, '$ORIGIN')
        made.append(file)
    file = output / module_file(package)
    needed = [f'{package}__{library.suffix}' for library in LIBRARIES]
    _link('gcc', objects[module], file, [*needed, 'rosidl_runtime_c'],
          f'$ORIGIN/{module_rpath}')
    return [*made, file]


def _compile(generated: Generated, unit: Library, output: Path) -> list[Path]:
    """Return the object files of one library."""
    folder = generated.root / unit.generator / generated.package
    sources = sorted(folder.glob(unit.sources))
    apart = [source for source in sources if source.stem.endswith('__description')]
    whole = output / f'{unit.suffix}{Path(unit.sources).suffix}'
    whole.write_text(''.join(
        f'#include "{source}"\n' for source in sources if source not in apart))
    standard = '-std=c++17' if unit.compiler == 'g++' else '-std=gnu11'
    # Without -o, gcc names each object file after its source and puts it into the current folder.
    _call([unit.compiler, standard, '-O2', '-fPIC', '-w', *_include_options(generated), '-c',
           str(whole), *map(str, apart)], output, unit.suffix)
    return [output / f'{source.stem}.o' for source in (whole, *apart)]


def _include_options(generated: Generated) -> list[str]:
    own = [folder for folder in generated.root.iterdir() if folder.is_dir()]
    installed = []
    for prefix in ros_prefixes():
        include = prefix / 'include'
        if include.is_dir():
            installed += [include, *(f for f in sorted(include.iterdir()) if f.is_dir())]
    outside = [*installed, Path(sysconfig.get_path('include')), Path(np.get_include())]
    # Headers of a package of the same name that is installed already must not come first.
    return [f'-I{folder}' for folder in own] + [f'-idirafter{folder}' for folder in outside]


def _link(compiler: str, objects: list[Path], file: Path, needed: list[str], rpath: str) -> None:
    folders = [file.parent, *(prefix / 'lib' for prefix in ros_prefixes())]
    _call([compiler, '-shared', *map(str, objects), '-o', str(file), f'-Wl,-soname,{file.name}',
           f'-Wl,-rpath,{rpath}', '-Wl,--no-as-needed', *(f'-L{folder}' for folder in folders),
           *(f'-l{name}' for name in needed)], file.parent, file.name)


def _call(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, 'LC_ALL': 'C'})
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if 'error' in line or 'cannot' in line]
        raise OutputError(f'{command[0]} failed on {what}: '
                          + '; '.join(lines[:3] or done.stderr.splitlines()[:3]))
