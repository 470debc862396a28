# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Conservation, order, one-to-one and optimality of the matcher on random streams."""

from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync_streams import BASE, IMAGE, MS, Player, best_total, camera, merged

from ivif_ros.sync.assignment import ALONE, head_partner
from ivif_ros.types import Frame

quick = settings(max_examples=250, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow])


def total_worth(player, tolerance_ns):
    return sum(tolerance_ns + 1 - abs(pair.skew_ns) for pair in player.out
               if pair.rgb is not None and pair.thermal is not None)


@quick
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True),
       st.lists(st.integers(0, 60), max_size=6, unique=True), st.integers(0, 40))
def test_assignment_of_a_closed_stream_has_the_largest_total(rgb, thermal, tolerance):
    rgb, thermal = sorted(rgb), sorted(thermal)
    total, waiting, partners = 0, rgb, thermal
    while waiting:
        partner, certain = head_partner(waiting, partners, tolerance, None, None)
        assert certain
        if partner != ALONE:
            total += tolerance + 1 - abs(partners[partner] - waiting[0])
            partners = partners[partner + 1:]
        waiting = waiting[1:]
    assert total == best_total(rgb, thermal, tolerance)


@quick
@given(st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True),
       st.lists(st.integers(0, 60), max_size=4, unique=True), st.integers(0, 40),
       st.lists(st.integers(0, 60), max_size=2, unique=True),
       st.lists(st.integers(0, 60), max_size=2, unique=True))
def test_a_certain_decision_holds_whatever_comes(rgb, thermal, tolerance, more_rgb, more_thermal):
    """Deciding the first frame when it is certain costs nothing in any future."""
    rgb, thermal = sorted(rgb), sorted(thermal)
    more_rgb = [rgb[-1] + 1 + value for value in more_rgb]
    more_thermal = [(thermal[-1] if thermal else 0) + 1 + value for value in more_thermal]
    partner, certain = head_partner(
        rgb, thermal, tolerance, (rgb[-1] + 1, None), ((thermal[-1] if thermal else 0) + 1, None))
    if not certain:
        return
    best = best_total(rgb + more_rgb, thermal + more_thermal, tolerance)
    if partner == ALONE:
        achieved = best_total(rgb[1:] + more_rgb, thermal + more_thermal, tolerance)
    else:
        achieved = tolerance + 1 - abs(thermal[partner] - rgb[0]) + best_total(
            rgb[1:] + more_rgb, thermal[partner + 1:] + more_thermal, tolerance)
    assert achieved == best


@quick
@given(st.lists(st.integers(1, 80), min_size=1, max_size=5),
       st.lists(st.integers(1, 80), min_size=1, max_size=5), st.integers(0, 60),
       st.randoms(use_true_random=False))
def test_arbitrary_streams_are_paired_optimally(rgb_gaps, thermal_gaps, tolerance, random):
    """Five frames are too few for a prediction, so nothing may be decided before it is certain."""
    rgb = [sum(rgb_gaps[:k + 1]) for k in range(len(rgb_gaps))]
    thermal = [sum(thermal_gaps[:k + 1]) for k in range(len(thermal_gaps))]
    order = ['rgb'] * len(rgb) + ['thermal'] * len(thermal)
    random.shuffle(order)
    left = {'rgb': camera('rgb', rgb), 'thermal': camera('thermal', thermal)}
    events = []
    for sensor in order:
        event = left[sensor].pop(0)
        events.append((sensor, Frame(event[1].stamp_ns, sensor, IMAGE,
                                     received_ns=1000 * MS + len(events))))
    player = Player(pairing='match', tolerance_ms=float(tolerance), max_wait_ms=5000.0)
    player.play(events)
    expected = best_total([value * MS for value in rgb], [value * MS for value in thermal],
                          tolerance * MS)
    assert total_worth(player, tolerance * MS) == expected


@quick
@given(st.integers(20, 40), st.sampled_from([10, 20, 30, 34, 50, 100]), st.integers(0, 33),
       st.integers(0, 45), st.integers(0, 60), st.integers(3, 9),
       st.lists(st.integers(-2, 2), min_size=30, max_size=30))
def test_regular_streams_with_jitter_and_gaps_are_paired_optimally(
        rgb_period, thermal_period, phase, tolerance, delay, drop, jitter):
    """With predictions at work, as long as frames are not earlier than predicted."""
    rgb = [k * rgb_period * 10 + jitter[k] for k in range(14)]
    thermal = [phase * 10 + k * thermal_period * 10 + jitter[-1 - k] // 2 for k in range(14)
               if k % drop != 1]
    player = Player(pairing='match', tolerance_ms=float(tolerance), max_wait_ms=5000.0,
                    queue_size=100)
    player.play(merged(camera('rgb', [value / 10 for value in rgb]),
                       camera('thermal', [value / 10 for value in thermal], float(delay))))
    # Independent optimum: dynamic programming from the back over tenths of milliseconds.
    unit = MS // 10
    best = [[0] * (len(thermal) + 1) for _ in range(len(rgb) + 1)]
    for i in reversed(range(len(rgb))):
        for j in reversed(range(len(thermal))):
            apart = abs(rgb[i] - thermal[j]) * unit
            worth = tolerance * MS + 1 - apart if apart <= tolerance * MS else -1
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + worth)
    assert total_worth(player, tolerance * MS) == best[0][0]


steps = st.lists(
    st.tuples(
        st.sampled_from(['rgb', 'thermal', 'thermal', 'rgb', 'poll']),
        st.one_of(st.integers(-40, 80), st.sampled_from([0, 0, -900, 5000, 33, 33, 33, None])),
        st.integers(0, 60)),
    max_size=60)


@settings(quick, max_examples=500)
@given(steps, st.sampled_from(['match', 'hold']), st.sampled_from([0.0, 5.0, 20.0, 70.0]),
       st.sampled_from([0.0, 10.0, 40.0, 150.0]), st.integers(1, 8), st.booleans())
def test_nothing_is_lost_silently(steps, pairing, tolerance, wait, queue, reset):
    """Every frame in is paired, alone or counted, whatever the stamps and the arrivals do."""
    player = Player(pairing=pairing, tolerance_ms=tolerance, max_wait_ms=wait, queue_size=queue,
                    rgb_offset_ms=3.0)
    now = 10**9
    stamps = {'rgb': BASE, 'thermal': BASE}
    given_frames = {'rgb': [], 'thermal': []}
    for what, step, elapsed in steps:
        now += elapsed * MS
        if what == 'poll':
            player.poll_until(now)
            continue
        if step is not None:
            stamps[what] += step * MS
        item = Frame(0 if step is None else stamps[what], what, IMAGE, received_ns=now)
        given_frames[what].append(item)
        player.play([(what, item)], flush=False)
    if reset:
        player.matcher.reset()
    else:
        player.play([])
    assert player.matcher.next_deadline_ns() is None
    out_rgb = [pair.rgb for pair in player.out if pair.rgb is not None]
    out_thermal = [pair.thermal for pair in player.out if pair.thermal is not None]
    assert all(count == 1 for count in Counter(map(id, out_rgb)).values())
    assert len(out_rgb) + player.losses('rgb') == len(given_frames['rgb'])
    served = {id(item) for item in out_thermal}
    assert len(served) + player.losses('thermal') == len(given_frames['thermal'])
    jumps = player.counts().get('rgb.clock_jump', 0)
    if not any(step is None for _, step, _ in steps):
        backwards = sum(b.stamp_ns <= a.stamp_ns for a, b in pairwise(out_rgb))
        assert backwards <= jumps
    seen = set()
    for pair in player.out:
        if pair.rgb is not None and pair.thermal is not None:
            if pairing == 'match':
                assert abs(pair.skew_ns) <= tolerance * MS
                assert not pair.held
            assert -150 * MS <= pair.skew_ns <= tolerance * MS
        assert pair.held == (pair.thermal is not None and id(pair.thermal) in seen)
        seen.add(id(pair.thermal))
    for time, pair in zip(player.times, player.out, strict=True):
        if pair.rgb is not None:
            assert time - pair.rgb.received_ns <= max(wait, 0) * MS


@settings(quick, max_examples=60)
@given(steps)
def test_same_calls_same_pairs(steps):
    results = []
    for _ in range(2):
        player = Player()
        now, stamp = 10**9, BASE
        for what, step, elapsed in steps:
            now += elapsed * MS
            stamp += (step or 0) * MS
            if what == 'poll':
                player.poll_until(now)
            else:
                player.play([(what, Frame(stamp, what, IMAGE, received_ns=now))], flush=False)
        player.play([])
        results.append((player.stamps(), player.times, player.counts()))
    assert results[0] == results[1]
