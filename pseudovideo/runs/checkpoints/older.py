"""Reads checkpoints of earlier versions, with today's names of their arrays.

Format 1, without a number: the part `extra` had its entries side by side. Today
the entries that updates change are below `state`, the others below `frozen`.
Format 2: nothing about the data, nor about steps since the last line of the
log. Format 3 has both, as `data` and `progress`.
"""

from typing import Any

from pseudovideo import errors

FORMAT = 3
_STATE = ("quantizer", "timesteps")
_FROZEN = (
  *("tokenizer", "autoencoder", "scaling", "perceptual"),
  *("start_mean", "start_std", "start_modes"),
)


def translated(manifest: dict[str, Any]) -> dict[str, Any]:
  """The manifest with today's names; `stored_as` is the name on disk.

  Raises:
    UserError: it is of a later version than this one.
  """
  version = manifest.get("format", 1)
  if version > FORMAT:
    raise errors.UserError(
      f"The checkpoint of step {manifest['step']} has format {version}, which "
      f"a later version wrote; this one reads up to {FORMAT}. Update "
      "pseudovideo."
    )
  if version > 1:
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
