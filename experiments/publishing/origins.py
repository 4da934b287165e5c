"""The table of origins of published results: devices, versions, commits."""

import collections
import pathlib
import sys

from experiments.publishing.sheets import Sheet
from pseudovideo import errors
from pseudovideo.runs import results

RESULTS = pathlib.Path(__file__).parents[2] / "results"


def records() -> Sheet:
  """Files of each folder of results/, by device and version of JAX."""
  counts: dict[tuple[str, ...], list[int]] = collections.defaultdict(
    lambda: [0, 0, 0]
  )
  for path in sorted(RESULTS.rglob("*.json")):
    parent = path.relative_to(RESULTS).parent.as_posix()
    folder = "results" if parent == "." else parent
    try:
      with results.from_file(path):
        origin = results.read_json(path).get("provenance")
        if origin is None:
          continue
        device, jax = origin["device"]["kind"], origin["packages"]["jax"]
        count = counts[folder, str(device), str(jax)]
        _ = origin["git_commit"], origin["git_changed"]
    except errors.UserError as error:
      print(f"Left out: {error}", file=sys.stderr)
      continue
    count[0] += 1
    count[1] += origin["git_commit"] is not None
    count[2] += origin["git_commit"] is not None and not origin["git_changed"]
  return Sheet(
    "Origins of results",
    ["folder", "device", "jax", "files", "with a commit", "of a clean tree"],
    [[*key, *map(str, count)] for key, count in sorted(counts.items())],
    notes=[
      "A clean tree had no changes that were not committed; otherwise the "
      "commit alone does not give the numbers again."
    ],
  )


TABLES = {"records": records}
