# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing of RGB and thermal frames by stamp: best partner, bounded wait, nothing lost silently."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from ivif_ros.counters import Counters
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync.assignment import ALONE, Window, head_partner
from ivif_ros.sync.stream import JUMP_NS, StreamClock
from ivif_ros.types import Frame, FramePair, Sensor

LOSSES = ('duplicate', 'late', 'overflow', 'reset', 'surplus')
"""Reasons (`rgb.<reason>`, `thermal.<reason>`) under which PairMatcher counts frames that it does
not hand out. The others (`*.clock_jump`, `*.zero_stamp`, `pair.queue_full`) count events."""


@dataclass(order=True, slots=True)
class _Waiting:
    """A frame in a queue, sorted by its pairing time.

    Attributes:
        time_ns: pairing time.
        frame: the frame.
        served: True once it went out.
        reason: counter under which it is lost if it never goes out.
    """

    time_ns: int
    frame: Frame = field(compare=False)
    served: bool = field(default=False, compare=False)
    reason: str = field(default='surplus', compare=False)


class PairMatcher:
    """Pairs the frames of two cameras by their stamps.

    RGB frames are the reference: each leaves at most once, in the order of stamps, with its
    partner in the assignment of largest total worth (see `ivif_ros.sync.assignment`). It leaves as
    soon as no further frame can change its partner: because a later frame is there already,
    because the period of a camera says that the next frame will be too far away, because the lag
    of a camera says that it cannot be here in time, or because the camera is silent. Otherwise it
    leaves `max_wait_ms` after it arrived. Without partner it leaves alone (`match`) or with the
    newest thermal frame that is not older than `max_age_ms` and not newer than the tolerance
    allows (`hold`).

    Thermal frames leave alone while the RGB camera is silent: never heard for `max_wait_ms`, or
    quiet for its period and `max_wait_ms`. Beside a live RGB camera, thermal frames that serve
    nobody are counted.

    Counters: `*.late` came after their place had been decided; `*.duplicate` repeat a stamp;
    `thermal.surplus` had no RGB frame; `thermal.overflow` left a full queue; `*.reset` were
    dropped by `reset`. `*.clock_jump` counts clocks set back by more than 0.5 s (a bag that starts
    again): what waited is decided with what is there, and pairing goes on at once in the new time.
    `*.zero_stamp` counts frames without a stamp, which are paired by their receive time.
    `pair.queue_full` counts RGB frames that stopped waiting because the queue was full; they go
    out, none is dropped.

    The result depends on the sequence of calls alone, not on the wall clock. Not thread-safe.
    """

    def __init__(self, params: SyncParameters, counters: Counters) -> None:
        """Start with empty queues.

        Args:
            params: tolerance, waits, offsets and mode.
            counters: where losses and events are counted.
        """
        self._counters = counters
        self._rgb: list[_Waiting] = []
        self._thermal: list[_Waiting] = []
        self._take(params)

    def _take(self, params: SyncParameters) -> None:
        self._tolerance = round(params.tolerance_ms * 1e6)
        self._max_age = round(params.max_age_ms * 1e6)
        self._max_wait = round(params.max_wait_ms * 1e6)
        self._hold = params.pairing == 'hold'
        self._size = params.queue_size
        self._clocks: dict[Sensor, StreamClock] = {
            'rgb': StreamClock(round(params.rgb_offset_ms * 1e6)),
            'thermal': StreamClock(round(params.thermal_offset_ms * 1e6))}
        self._newest: _Waiting | None = None  # newest thermal frame that left the queue (hold only)
        self._passed: dict[Sensor, int | None] = {'rgb': None, 'thermal': None}
        self._unmatched: int | None = None  # newest RGB frame that left without its own partner
        self._now = 0

    def set_parameters(self, params: SyncParameters) -> list[FramePair]:
        """Take new parameters; what waits is decided by the old ones and returned."""
        ready = self.flush()
        self._take(params)
        return ready

    def set_thermal_offset(self, offset_ms: float) -> list[FramePair]:
        """Pair thermal frames by another offset from now on, those that wait as well.

        Nothing is flushed, and nothing that is known about the cameras is forgotten.

        Args:
            offset_ms: added to thermal stamps, in place of `thermal_offset_ms`.

        Returns:
            Pairs that this decides.
        """
        clock = self._clocks['thermal']
        by_ns = round(offset_ms * 1e6) - clock.offset_ns
        clock.shift(by_ns)
        for entry in (*self._thermal, *([self._newest] if self._newest else [])):
            entry.time_ns += by_ns
        passed = self._passed['thermal']
        if passed is not None:
            self._passed['thermal'] = passed + by_ns
        return self._settle(self._now)

    def add(self, sensor: Sensor, frame: Frame) -> list[FramePair]:
        """Take a frame and return the pairs that it decides; `received_ns` also serves as the time.

        Args:
            sensor: camera of the frame.
            frame: the frame; its image is not looked at.

        Returns:
            Pairs in the order of RGB stamps, often none or one.
        """
        own, other = self._clocks[sensor], self._clocks[_OTHER[sensor]]
        if frame.stamp_ns == 0:
            self._counters.add(f'{sensor}.zero_stamp')
        time_ns = own.pairing_time(frame, other)
        ready = []
        if own.newest_ns is not None and time_ns < own.newest_ns - JUMP_NS:
            ready = self._clock_jump(sensor, time_ns)
        own.observe(time_ns, frame)
        queue = self._rgb if sensor == 'rgb' else self._thermal
        passed = self._passed[sensor]
        if time_ns == passed or any(entry.time_ns == time_ns for entry in queue):
            self._counters.add(f'{sensor}.duplicate')
        elif passed is not None and time_ns < passed:
            self._counters.add(f'{sensor}.late')
        else:
            entry = _Waiting(time_ns, frame)
            if self._unmatched is not None and (
                    -JUMP_NS < time_ns - self._unmatched <= self._tolerance):
                entry.reason = 'late'
            insort(queue, entry)
        return ready + self._settle(frame.received_ns)

    def poll(self, now_ns: int) -> list[FramePair]:
        """Return the pairs whose wait is over.

        Args:
            now_ns: the time, in the clock of `Frame.received_ns`.
        """
        return self._settle(now_ns)

    def next_deadline_ns(self) -> int | None:
        """When to call `poll` next, in the clock of `received_ns`; None while nothing waits."""
        if self._rgb:
            expiry = self._expiry()
            silent = self._silent_at('thermal')
            return expiry if silent is None or silent <= self._now else min(expiry, silent)
        if any(not entry.served for entry in self._thermal):
            return self._silent_at('rgb')
        return None

    def flush(self) -> list[FramePair]:
        """Decide everything that waits with what is there, as at the end of a recording."""
        ready = self._release_rgb()
        if self._clocks['rgb'].received_ns is None:
            ready += self._release_thermal()
        self._drop_thermal()
        return ready

    def reset(self) -> None:
        """Forget everything; frames that wait are counted as `reset`."""
        lost = [entry for entry in (*self._thermal, self._newest) if entry and not entry.served]
        for sensor, count in (('rgb', len(self._rgb)), ('thermal', len(lost))):
            if count:
                self._counters.add(f'{sensor}.reset', count)
        self._rgb.clear()
        self._thermal.clear()
        self._newest = None
        self._passed = {'rgb': None, 'thermal': None}
        self._unmatched = None
        self._now = 0
        self._clocks = {
            sensor: StreamClock(clock.offset_ns) for sensor, clock in self._clocks.items()}

    def _clock_jump(self, sensor: Sensor, time_ns: int) -> list[FramePair]:
        """Leave the old time of a camera; the other one may have left it before."""
        self._counters.add(f'{sensor}.clock_jump')
        other = self._clocks[_OTHER[sensor]].newest_ns
        other_is_old = other is None or abs(other - time_ns) > JUMP_NS
        ready = []
        if sensor == 'rgb' or other_is_old:
            ready = self._release_rgb()
        if sensor == 'thermal' or other_is_old:
            self._drop_thermal()
        self._clocks[sensor].restart()
        self._passed[sensor] = None
        if sensor == 'rgb':
            self._unmatched = None
        return ready

    def _settle(self, now_ns: int) -> list[FramePair]:
        self._now = now_ns
        ready = []
        while self._rgb:
            partner, certain = self._decide(now_ns)
            if not certain and now_ns < self._expiry():
                if len(self._rgb) <= self._size:
                    break
                self._counters.add('pair.queue_full')
            ready.append(self._release_head(partner))
        if self._thermal and not self._rgb:
            silent = self._silent_at('rgb')
            if silent is not None and now_ns >= silent:
                ready += self._release_thermal()
        self._trim()
        return ready

    def _expiry(self) -> int:
        """When an RGB frame has waited long enough; those with older stamps must go as well."""
        return min(entry.frame.received_ns for entry in self._rgb) + self._max_wait

    def _silent_at(self, sensor: Sensor) -> int | None:
        return self._clocks[sensor].silent_at_ns(self._max_wait, self._clocks[_OTHER[sensor]])

    def _decide(self, now_ns: int) -> tuple[int, bool]:
        """Partner of the first RGB frame (index of the thermal queue) and whether it is certain."""
        rgb, thermal, tolerance = self._rgb, self._thermal, self._tolerance
        # Only frames that hang together with the first one, link by link, can matter to it.
        first = 0
        while first < len(thermal) and thermal[first].time_ns < rgb[0].time_ns - tolerance:
            first += 1
        rgb_end, thermal_end = 1, first
        while True:
            reach = rgb[rgb_end - 1].time_ns + tolerance
            start = thermal_end
            while thermal_end < len(thermal) and thermal[thermal_end].time_ns <= reach:
                thermal_end += 1
            if thermal_end == start:
                break
            reach = thermal[thermal_end - 1].time_ns + tolerance
            start = rgb_end
            while rgb_end < len(rgb) and rgb[rgb_end].time_ns <= reach:
                rgb_end += 1
            if rgb_end == start:
                break
        deadline = self._expiry()
        partner, certain = head_partner(
            [entry.time_ns for entry in rgb[:rgb_end]],
            [entry.time_ns for entry in thermal[first:thermal_end]], tolerance,
            self._window('rgb', deadline),
            self._thermal_window(rgb[0].time_ns, deadline, now_ns))
        return (partner if partner == ALONE else first + partner), certain

    def _window(self, sensor: Sensor, deadline_ns: int) -> Window | None:
        """When further frames may be stamped that arrive before the deadline."""
        clock = self._clocks[sensor]
        earliest, latest = clock.earliest_next_ns(), clock.latest_by_ns(deadline_ns)
        if earliest is None or (latest is not None and latest < earliest):
            return None
        return earliest, latest

    def _thermal_window(self, head_ns: int, deadline_ns: int, now_ns: int) -> Window | None:
        silent = self._silent_at('thermal')
        if silent is not None and now_ns >= silent:
            return None
        newest = self._clocks['thermal'].newest_ns
        if newest is None or newest > head_ns + JUMP_NS:
            # Never heard, or still in the time before a jump: its next stamp may be anything.
            return head_ns - self._tolerance, None
        return self._window('thermal', deadline_ns)

    def _release_head(self, partner: int) -> FramePair:
        """Take the first RGB frame out, with its partner or what `hold` finds for it."""
        head = self._rgb.pop(0)
        self._passed['rgb'] = head.time_ns
        if partner != ALONE:
            for entry in self._thermal[:partner]:
                self._retire(entry)
            chosen: _Waiting | None = self._thermal[partner]
            del self._thermal[:partner + 1]
        else:
            self._unmatched = head.time_ns
            chosen = self._held(head.time_ns) if self._hold else None
        if chosen is None:
            return FramePair(head.frame, None)
        pair = FramePair(
            head.frame, chosen.frame, chosen.time_ns - head.time_ns, held=chosen.served)
        chosen.served = True
        if partner != ALONE:
            self._retire(chosen)
        return pair

    def _held(self, head_ns: int) -> _Waiting | None:
        """Newest thermal frame for an RGB frame without partner; it stays for later RGB frames."""
        latest = head_ns + self._tolerance
        index = len(self._thermal)
        while index > 0 and self._thermal[index - 1].time_ns > latest:
            index -= 1
        chosen = self._thermal[index - 1] if index > 0 else self._newest
        if chosen is None or not head_ns - self._max_age <= chosen.time_ns <= latest:
            return None
        for entry in self._thermal[:max(index - 1, 0)]:
            self._retire(entry)
        del self._thermal[:max(index - 1, 0)]
        return chosen

    def _retire(self, entry: _Waiting) -> None:
        """Let a thermal frame go from the queue; `hold` keeps the newest one at hand."""
        passed = self._passed['thermal']
        self._passed['thermal'] = entry.time_ns if passed is None else max(passed, entry.time_ns)
        gone: _Waiting | None = entry
        if self._hold and (self._newest is None or self._newest.time_ns < entry.time_ns):
            gone, self._newest = self._newest, entry
        if gone is not None and not gone.served:
            self._counters.add(f'thermal.{gone.reason}')

    def _release_rgb(self) -> list[FramePair]:
        ready = []
        while self._rgb:
            ready.append(self._release_head(self._decide(self._now)[0]))
        return ready

    def _release_thermal(self) -> list[FramePair]:
        """Let all waiting thermal frames go alone."""
        ready = []
        for entry in self._thermal:
            if not entry.served:
                ready.append(FramePair(None, entry.frame))
                entry.served = True
            self._retire(entry)
        self._thermal.clear()
        return ready

    def _drop_thermal(self) -> None:
        for entry in self._thermal:
            self._retire(entry)
        self._thermal.clear()
        if self._newest is not None and not self._newest.served:
            self._counters.add(f'thermal.{self._newest.reason}')
        self._newest = None

    def _trim(self) -> None:
        """Let thermal frames go that no RGB frame can want any more, and those beyond the queue."""
        wanted = self._rgb[0].time_ns if self._rgb else self._clocks['rgb'].earliest_next_ns()
        while self._thermal and wanted is not None and (
                self._tolerance < wanted - self._thermal[0].time_ns < JUMP_NS):
            self._retire(self._thermal.pop(0))
        while len(self._thermal) > self._size:
            entry = self._thermal.pop(0)
            entry.reason = 'overflow'
            self._retire(entry)


_OTHER: dict[Sensor, Sensor] = {'rgb': 'thermal', 'thermal': 'rgb'}
