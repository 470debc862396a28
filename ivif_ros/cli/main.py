#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Entry of the command `ivif`: finds the sub-command and turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from ivif_ros import __version__
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.errors import IvifError

COMMANDS = {
    'up': ('up', 'start the node that fuses two topics'),
    'fuse': ('fuse', 'fuse pairs of images'),
    'register': ('register', 'lay thermal images on RGB images'),
    'calibrate': ('calibrate', 'find how the cameras of a rig stand to each other'),
    'replay': ('replay', 'fuse a recording, offline and as often as you like the same'),
    'record': ('record', 'record what the running node publishes'),
    'evaluate': ('evaluate', 'measure fusion methods on recordings and make a report'),
    'inspect': ('inspect_bag', 'tell what is in a recording and what would be done with it'),
    'import': ('import_pairs', 'make a recording of pairs of images or videos'),
    'sim': ('sim', 'record the simulated rig'),
    'export': ('export', 'write a fusion network to an ONNX or TorchScript file'),
}
"""Sub-command -> module of this package, one line of help."""

EPILOG = """exit codes:
  0    everything was done
  1    some of the files could not be used, the others were done
  2    failed: wrong arguments, unusable input or unwritable output
  3    everything was done, and a figure is beyond a limit of 'ivif evaluate --fail-if'
  130  interrupted

'ivif COMMAND --help' says more about a command."""


class Command(Protocol):
    """What the module of a sub-command holds."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit code; `args.rest` holds what the parser does not know.

        Raises:
            IvifError: nothing could be done, for a reason that the user can change.
        """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; None takes those of the process.

    Returns:
        Exit code, see EPILOG.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args, command = _parse(words)
        code = command.run(args)
        sys.stdout.flush()
        return code
    except IvifError as error:
        print(f'ivif: error: {error}', file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt as interrupt:
        print(f'ivif: interrupted{": " if str(interrupt) else ""}{interrupt}', file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def _parse(words: list[str]) -> tuple[argparse.Namespace, Command]:
    """Parse the words; only the module of the sub-command they name is imported."""
    parser = argparse.ArgumentParser(
        prog='ivif', description='Fusion of a thermal and a colour camera.', epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument('--version', action='version', version=f'ivif {__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    name = next((word for word in words if not word.startswith('-')), '')
    command: Command | None = None
    chosen = parser
    for other, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(other, help=summary, allow_abbrev=False)
        if other == name:
            command = cast(Command, importlib.import_module(f'ivif_ros.cli.{module}'))
            chosen = sub
            sub.description = command.__doc__
            sub.formatter_class = argparse.RawDescriptionHelpFormatter
            command.add_arguments(sub)
    args, rest = parser.parse_known_args(words)
    args.rest = rest
    assert command is not None, 'argparse refuses unknown sub-commands'
    if rest and not getattr(command, 'PASSES_REST', False):
        chosen.error(f"unrecognized arguments: {' '.join(rest)}")
    return args, command


if __name__ == '__main__':
    sys.exit(main())
