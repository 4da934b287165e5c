"""Reads checkpoints of earlier versions, with today's names of their arrays.

The part `extra` had its entries side by side. Today the entries that updates
change are below `state`, the others below `frozen`. A manifest with a `format`
has today's names.
"""

from typing import Any

FORMAT = 2
_STATE = ("quantizer", "timesteps")
_FROZEN = (
  *("tokenizer", "autoencoder", "scaling", "perceptual"),
  *("start_mean", "start_std", "start_modes"),
)


def translated(manifest: dict[str, Any]) -> dict[str, Any]:
  """The manifest with today's names; `stored_as` is the name on disk."""
  if manifest.get("format", 1) >= FORMAT:
    return manifest
  arrays = {}
  for name, entry in manifest["arrays"].items():
    path = _path_of_today(list(entry["path"]))
    today = ".".join(path)
    if today != name:
      entry = {**entry, "path": path, "stored_as": name}
    arrays[today] = entry
  return {**manifest, "arrays": arrays}


def _path_of_today(path: list[str]) -> list[str]:
  """["extra", "quantizer", ..] -> ["extra", "state", "quantizer", ..]."""
  if "extra" not in path[:-1]:
    return path
  at = path.index("extra") + 1
  rest = path[at:]
  for part, names in (("state", _STATE), ("frozen", _FROZEN)):
    if rest[0] in names:
      return [*path[:at], part, rest[0], *_path_of_today(rest[1:])]
  return path
