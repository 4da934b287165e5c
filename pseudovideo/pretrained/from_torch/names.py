"""Names in PyTorch of the variables of networks with the same modules.

PyTorch counts the batches that its statistics have seen; the counters mean
nothing in inference and may be there or not.
"""

from collections.abc import Iterable

Path = tuple[str, ...]

_LAST = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


def of(path: Path) -> str:
  """The name of a variable, without the collection that it is in."""
  return ".".join((*path[1:-1], _LAST[path[-1]]))


def counters(paths: Iterable[Path]) -> frozenset[str]:
  """The names of the counters beside the statistics among variables."""
  return frozenset(
    ".".join((*path[1:-1], "num_batches_tracked"))
    for path in paths
    if "bn" in path
  )
