"""Pairs of equal work: compared first, then timed one after the other."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pseudovideo import errors

TOLERANCE = 1e-4
"""Largest difference of outputs, as a share of the largest output."""
PAUSE = 0.02
"""Seconds between two calls. Threads of the one before spin for a while."""

Call = Callable[[], Any]
Found = dict[str, Any]


class Pair(NamedTuple):
  """Two ways to the same result.

  Attributes:
    ours: a call; it returns when the result is there.
    peers: how PyTorch may do it -> the function that prepares such a call. The
      fastest is timed.
    facts: fields of the results, from `equal`.
    memory: function of a call, the most that it adds to the memory; None: it is
      not measured.
  """

  ours: Call
  peers: Mapping[str, Callable[[], Call]]
  facts: Mapping[str, Any]
  memory: Callable[[Call], float | None] | None = None


def equal(
  ours: Sequence[Any], peer: Sequence[Any], counts: tuple[int, int]
) -> Found:
  """Checks that two networks are the same.

  Args:
    ours: arrays of our network.
    peer: the same of the other, in the same order and layout.
    counts: numbers of parameters, ours first.

  Returns:
    parameters; difference, the largest one as a share of the largest output.

  Raises:
    RunError: the counts, the shapes or the outputs differ.
  """
  if counts[0] != counts[1]:
    raise errors.RunError(
      f"Ours has {counts[0]} parameters and the peer {counts[1]}; networks "
      "that differ are not timed."
    )
  found = max(difference(a, b) for a, b in zip(ours, peer, strict=True))
  if not found <= TOLERANCE:
    raise errors.RunError(
      f"The outputs differ by {found:.1e} of the largest one, which may be "
      f"{TOLERANCE}; networks that differ are not timed."
    )
  return {"parameters": counts[0], "difference": found}


def losses(
  ours: Call, peer: Call, updates: int = 3
) -> tuple[list[float], list[float]]:
  """The losses of the first updates of both, for `equal`."""
  return [ours() for _ in range(updates)], [peer() for _ in range(updates)]


def difference(one: Any, two: Any) -> float:
  """The largest difference of two arrays, as a share of the largest number."""
  one, two = (np.asarray(x, np.float64) for x in (one, two))
  if one.shape != two.shape:
    return np.inf
  return float(np.abs(one - two).max() / max(np.abs(two).max(), 1e-30))


def measure(pair: Pair, repeats: int) -> Found:
  """Times a pair.

  Returns:
    The pair's facts, `peer` (the way that was fastest), the fields of
    `summary`, and with `memory` {ours,peer}_resident_mb.
  """
  way, peer = fastest(pair.peers)
  timed(pair.ours)
  found = {
    **pair.facts,
    "peer": way,
    **summary(*alternately(pair.ours, peer, repeats)),
  }
  if pair.memory is not None:
    found["ours_resident_mb"] = pair.memory(pair.ours)
    found["peer_resident_mb"] = pair.memory(peer)
  return found


def fastest(peers: Mapping[str, Callable[[], Call]]) -> tuple[str, Call]:
  """The fastest call by the better of two, after one to warm up; its name."""
  best: tuple[float, str, Call] | None = None
  for way, prepare in peers.items():
    call = prepare()
    timed(call)
    seconds = min(timed(call)[0] for _ in range(2))
    if best is None or seconds < best[0]:
      best = (seconds, way, call)
  assert best is not None
  return best[1:]


def timed(call: Call) -> tuple[float, float]:
  """Seconds and CPU-seconds of a call, after a pause."""
  time.sleep(PAUSE)
  begin = time.perf_counter(), time.process_time()
  call()
  return time.perf_counter() - begin[0], time.process_time() - begin[1]


def alternately(
  ours: Call, peer: Call, repeats: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
  """Times ours and the peer, one after the other; see `timed`."""
  found = [(timed(ours), timed(peer)) for _ in range(repeats)]
  return [a for a, _ in found], [b for _, b in found]


def summary(
  ours: Sequence[tuple[float, float]], peer: Sequence[tuple[float, float]]
) -> Found:
  """Medians and ratios.

  Args:
    ours: seconds and CPU-seconds of each of our calls.
    peer: the same of the peer's calls, each of which followed one of ours.

  Returns:
    {ours,peer}_{,cpu_}seconds, medians; ratio, ratio_min and ratio_max: the
    median and the extremes of our seconds over the peer's, by pairs; and
    ratios, all of them.
  """
  ratios = [a[0] / b[0] for a, b in zip(ours, peer, strict=True)]
  found: Found = {}
  for name, times in (("ours", ours), ("peer", peer)):
    for i, field in enumerate(("seconds", "cpu_seconds")):
      found[f"{name}_{field}"] = statistics.median(x[i] for x in times)
  return {
    **found,
    "ratio": statistics.median(ratios),
    "ratio_min": min(ratios),
    "ratio_max": max(ratios),
    "ratios": ratios,
  }
