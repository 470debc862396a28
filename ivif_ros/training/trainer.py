# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, validation, log and saved states of one run.

A step depends on the seed, its number and the state before it only: batches are made for the step,
and PyTorch's random numbers are seeded anew for each of them. So a run that was interrupted and
resumed gives the weights, bit for bit on a CPU, of one that was not.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import torch
from torch import Tensor

from ivif_ros.errors import IvifError, ParameterError
from ivif_ros.training.batch import Movable
from ivif_ros.training.checkpoint import RunFolder, save_state, write_atomically
from ivif_ros.training.distributed import Processes
from ivif_ros.training.learner import Learner
from ivif_ros.training.logs import CsvLog, Progress, TensorBoard
from ivif_ros.training.recipe import Recipe

SKIP_LIMIT = 25
"""So many steps in a row without finite losses and gradients end a run."""

IMPATIENCE_S = 3.0
"""A signal that comes so long after the first one interrupts the step instead of waiting for it."""


@dataclass(frozen=True)
class RunOptions:
    """What a run needs beside its recipe.

    Attributes:
        data: folder of the training data.
        out: folder of the run.
        seed: seed of everything random, 0 or more.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        amp: 'off', 'bf16' or 'fp16': precision of the forward pass in training.
        workers: processes that make batches; 0 makes them in this one.
        resume: go on with the run in `out`.
        init: weights file to start from, or none.
        minutes: stop after this time, with everything saved; 0 for no limit.
        log_every: steps between two rows of the log.
        command: the command line, kept with the weights.
    """

    data: Path
    out: Path
    seed: int = 0
    device: str = 'auto'
    amp: str = 'off'
    workers: int = 0
    resume: bool = False
    init: Path | None = None
    minutes: float = 0.0
    log_every: int = 20
    command: str = ''

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a number out of range.
        """
        for name, low in (('seed', 0), ('workers', 0), ('minutes', 0), ('log_every', 1)):
            if not (getattr(self, name) >= low and math.isfinite(getattr(self, name))):
                raise ParameterError(f'{name} is {getattr(self, name)}, expected {low} or more')


@dataclass
class Progression:
    """How far a run is.

    Attributes:
        step: steps done.
        best_score: best validation score, minus infinity without any.
        best_step: step of that score.
        skipped: steps that changed nothing because a loss or gradient was not finite.
        seconds: time spent in training, validation included, over all resumed parts.
        signal: number of the signal that stopped the run, 0 for none.
    """

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    signal: int = 0


def train(recipe: Recipe, options: RunOptions) -> Progression:
    """Train until the last step, the time limit, or SIGINT or SIGTERM; the state is saved.

    Raises:
        IvifError: data, folder, device or settings that cannot be used; losses that stay not
            finite.
    """
    with Processes(options.device) as processes, _stop_request() as stop:
        return _Run(recipe, options, processes, stop).go()


class _Run:
    """One process of a run."""

    def __init__(self, recipe: Recipe, options: RunOptions, processes: Processes,
                 stop: list[int]) -> None:
        if recipe.batch_size % processes.world:
            raise ParameterError(f'batch_size is {recipe.batch_size} for {processes.world} '
                                 'processes, expected a multiple of their number')
        self._recipe, self._options, self._processes = recipe, options, processes
        self._stop = stop
        self._folder = RunFolder(options.out)
        self._settings = recipe.settings()
        state: dict[str, Any] | None = None
        if options.resume:
            state = self._folder.load(recipe.name, options.seed, self._settings)
        elif processes.is_first:
            self._folder.check_free()
        self._learner = Learner(recipe, processes, options.seed, options.amp, options.init)
        self._done = Progression()
        if state is not None:
            self._learner.load(state)
            self._done = Progression(**state['done'])
        self._saved_step = self._done.step
        self._start, self._before = time.monotonic(), self._done.seconds
        self._loss: float | None = None
        self._progress: Progress | None = None
        self._loader = recipe.batches(
            options.data, options.seed, self._done.step, processes.rank, processes.world,
            options.workers)
        if processes.is_first:
            self._open_outputs()

    def _open_outputs(self) -> None:
        """Read the validation data and open the logs, in the first process."""
        recipe, step = self._recipe, self._done.step
        self._validation = recipe.validation(self._options.data, self._learner.objective)
        self._folder.make()
        self._folder.describe({
            'method': recipe.name, 'command': self._options.command, 'seed': self._options.seed,
            'amp': self._options.amp, 'device': self._processes.reason,
            'processes': self._processes.world, 'torch': torch.__version__,
            'parameters': sum(p.numel() for p in self._learner.objective.network.parameters()),
            'settings': self._settings})
        self._log = CsvLog(self._folder.log, step)
        self._verdicts = CsvLog(self._folder.validation, step)
        self._board = TensorBoard(self._folder.tensorboard, step)

    def go(self) -> Progression:
        """Do the steps."""
        done, recipe, first = self._done, self._recipe, self._processes.is_first
        progress = None
        if first:
            progress = self._progress = Progress(recipe.name, done.step, recipe.steps)
            progress.say(f'{recipe.name}: steps {done.step} to {recipe.steps} on '
                         f'{self._processes.reason}, {len(self._validation)} validation pairs')
        meter = _Meter()
        in_a_row = 0
        try:
            while done.step < recipe.steps:
                batch = meter.next_batch(self._loader)
                losses, fine = self._learner.step(batch, done.step)
                done.step += 1
                if fine:
                    in_a_row = 0
                    meter.add(losses)
                else:
                    in_a_row += 1
                    self._skip(losses, in_a_row)
                last = done.step == recipe.steps
                if last or done.step % self._options.log_every == 0:
                    self._write_log(meter)
                if last or done.step % recipe.validate_every == 0:
                    with meter.paused():
                        self._validate()
                        self._save()
                if progress is not None:
                    progress.show(done.step, self._note())
                if self._should_stop():
                    break
            self._finish()
        finally:
            if progress is not None:
                progress.close()
                self._board.close()
        return done

    def _should_stop(self) -> bool:
        limit = 60 * self._options.minutes
        late = limit > 0 and time.monotonic() - self._start > limit
        return self._processes.agree(bool(self._stop) or late)

    def _finish(self) -> None:
        """Save what the end of the loop has left unsaved."""
        done = self._done
        done.signal = self._stop[0] if self._stop else 0
        if not done.signal and done.best_step == 0 and done.step:
            # A run that was stopped by its time limit is to leave weights that can be used.
            self._validate()
        if done.step != self._saved_step:
            self._save()

    def _note(self) -> str:
        done = self._done
        words = [] if self._loss is None else [f'loss {self._loss:.4f}']
        if done.best_step:
            words.append(f'best score {done.best_score:.4f} at step {done.best_step}')
        return ', '.join(words)

    def _skip(self, losses: dict[str, Tensor], in_a_row: int) -> None:
        """Count a step that changed nothing; end the run after too many in a row."""
        done = self._done
        done.skipped += 1
        bad = [name for name, loss in losses.items() if not bool(torch.isfinite(loss))]
        cause = f"loss {', '.join(bad)}" if bad else 'gradient'
        if in_a_row == 1 and self._progress is not None:
            self._progress.say(f'step {done.step} skipped: its {cause} is not finite')
        if in_a_row >= SKIP_LIMIT:
            raise IvifError(
                f'{in_a_row} steps in a row up to step {done.step} gave a {cause} that is not '
                f"finite. '{self._folder.last}' has the state of step {self._saved_step}, if any: "
                'start anew with a lower learning rate (--lr) or without --amp')

    def _write_log(self, meter: _Meter) -> None:
        row = meter.row()
        self._loss = row.get('loss')
        if self._processes.is_first:
            step = self._done.step
            full = {'step': step, **row, 'lr': self._recipe.rate(step - 1),
                    'skipped': self._done.skipped}
            self._log.add(full)
            self._board.scalars('train', full, step)

    def _validate(self) -> None:
        """Measure the network; keep its weights if it is the best so far."""
        if not self._processes.is_first:
            return
        done, recipe = self._done, self._recipe
        network = self._learner.best_network
        verdict = self._validation.judge(network, self._processes.device)
        score = float(recipe.score(verdict.metrics))
        row = {'step': done.step, 'score': score, **verdict.metrics}
        self._verdicts.add(row)
        self._board.scalars('validation', row, done.step)
        self._board.picture(self._validation.picture_name, verdict.picture, done.step)
        png = cv2.imencode('.png', verdict.picture)[1]
        write_atomically(self._folder.picture, lambda part: part.write_bytes(png.tobytes()))
        if score > done.best_score:
            done.best_score, done.best_step = score, done.step
            recipe.save(self._folder.best, network, {
                'command': self._options.command, 'method': recipe.name, 'step': done.step,
                'steps': recipe.steps, 'seed': self._options.seed, 'score': score,
                'metrics': verdict.metrics, 'settings': self._settings,
                'torch': str(torch.__version__)})
        if self._progress is not None:
            figures = ' '.join(f'{name} {verdict.metrics[name]:.3f}'
                               for name in self._validation.figures)
            self._progress.say(f'step {done.step}: score {score:.4f} ({figures})')

    def _save(self) -> None:
        """Write the state, in the first process."""
        done = self._done
        done.seconds = self._before + time.monotonic() - self._start
        self._saved_step = done.step
        if self._processes.is_first:
            save_state(self._folder.last, {
                'method': self._recipe.name, 'seed': self._options.seed,
                'settings': self._settings, 'done': {**vars(done), 'signal': 0},
                **self._learner.state()})


class _Meter:
    """Means of the losses, speed, and time spent waiting for data, since the last row."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._steps = 0
        self._busy = self._waited = 0.0
        self._clock = time.monotonic()

    def next_batch(self, loader: Iterator[Movable]) -> Movable:
        start = time.monotonic()
        try:
            batch = next(loader)
        except IvifError as error:
            # One of a worker comes with the traceback of the worker in front of its last line.
            *trace, text = str(error).strip().splitlines()
            if not trace:
                raise
            raise type(error)(text.partition(': ')[2]) from error
        self._waited += time.monotonic() - start
        self._steps += 1
        return batch

    def add(self, losses: dict[str, Tensor]) -> None:
        # Sums stay on the device: reading a number would wait for it.
        for name, loss in losses.items():
            loss = loss.double()
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
            self._counts[name] += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out."""
        self._busy += time.monotonic() - self._clock
        yield
        self._clock = time.monotonic()

    def row(self) -> dict[str, float]:
        """Return what was measured, and start anew."""
        busy = self._busy + time.monotonic() - self._clock
        losses = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        row = {'loss': sum(losses.values()), **losses} if losses else {}
        row.update({'steps_per_s': self._steps / busy, 'waiting': self._waited / busy})
        self._reset()
        return row


@contextmanager
def _stop_request() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while the block runs; one that comes later interrupts it at once.

    Only the main thread of a process can do so; in another one nothing is collected.

    Yields:
        The number of the signal, once there was one.
    """
    asked: list[int] = []
    first = 0.0
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    owner = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # A forked worker inherits this. The terminal sends SIGINT to it as well, but it has to
            # go on until its parent stops; SIGTERM is how the parent ends it.
            if number == signal.SIGTERM:
                os._exit(0)
            return
        nonlocal first
        # From a terminal under torchrun the same request comes twice, from both of them.
        if asked and time.monotonic() - first > IMPATIENCE_S:
            raise KeyboardInterrupt
        if not asked:
            first = time.monotonic()
            asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
