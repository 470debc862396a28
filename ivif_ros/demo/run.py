# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Starts the processes of the demo in order and stops them again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from ivif_ros.cli.console import warn
from ivif_ros.errors import SourceError

STOP_TIMEOUT_S = 20.0
MAX_RECORDING_MB = 4000
"""Size at which the recording ends; 640x480 at 30 Hz makes 2400 MB a minute."""
LAST_PAIR_S = 0.5
"""How long the last pair may be on its way after the source has ended."""


class Processes:
    """Python modules that run as processes of their own; all of them end with the block."""

    def __init__(self, logs: Path) -> None:
        """Write the output of each process to `<logs>/<name>.log`."""
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `python -m module` with arguments."""
        with open(self._log(name), 'wb') as log:
            process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments], stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env={**os.environ, 'PYTHONUNBUFFERED': '1'})
        self._running[name] = process
        return process

    def stop(self, name: str) -> int:
        """Ask a process to end (SIGINT) and wait for it.

        Returns:
            Its exit status; negative where a signal ended it.
        """
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def check(self, finite: Collection[str]) -> None:
        """Notice a process that failed, or that ended before it was asked to.

        Args:
            finite: names of the processes that may end by themselves.

        Raises:
            SourceError: with the last words of all processes.
        """
        for name, process in self._running.items():
            status = process.poll()
            if status is not None and (status != 0 or name not in finite):
                raise self.failure(f'{name} ended with status {status}')

    def failure(self, what: str) -> SourceError:
        """Make an error with the last words of all processes."""
        said = {path.stem: self._tail(path) for path in sorted(self._logs.glob('*.log'))}
        words = [f'--- {name} said\n{text}' for name, text in said.items() if text]
        return SourceError('\n'.join([what, *words]))

    @staticmethod
    def _tail(log: Path, lines: int = 15) -> str:
        return '\n'.join(log.read_text(errors='replace').splitlines()[-lines:])

    def _log(self, name: str) -> Path:
        return self._logs / f'{name}.log'

    def __enter__(self) -> Processes:
        """Return the set itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Stop what still runs, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name)


def run(out: Path, source: str, seconds: float, node_arguments: Sequence[str]) -> int:
    """Run camera source, fusion node and recorder until the source ends.

    Args:
        out: folder for recording, samples and logs.
        source: what the camera source plays.
        seconds: length in seconds.
        node_arguments: command line of the fusion node.

    Returns:
        Exit status of the fusion node after it was asked to end.

    Raises:
        SourceError: a process failed; the message says which and why.
    """
    logs = out / 'logs'
    logs.mkdir(parents=True, exist_ok=True)
    with Processes(logs) as processes:
        recorder = processes.start('recorder', 'ivif_ros.cli.main', [
            'record', '--out', str(out / 'outputs'), '--max-size', str(MAX_RECORDING_MB)])
        processes.start('fusion', 'ivif_ros.nodes.ivif_node', node_arguments)
        player = processes.start('source', 'ivif_ros.nodes.camera_source', [
            '--source', source, '--seconds', str(seconds), '--samples', str(out / 'samples'),
            '--watch', 'fused/image', 'status', '--node', 'ivif_node'])
        while player.poll() is None:
            processes.check(finite=('source', 'recorder'))
            time.sleep(0.2)
        processes.check(finite=('source', 'recorder'))
        if recorder.poll() is not None:
            warn(f'the recording reached its limit of {MAX_RECORDING_MB} MB: the report covers the '
                 'run until then')
        time.sleep(LAST_PAIR_S)
        status = processes.stop('fusion')
        recorded = processes.stop('recorder')
        if recorded != 0:
            raise processes.failure(f'recorder ended with status {recorded}')
    return status
