"""Writes one checkpoint, a directory named after its step.

Orbax writes it (into a temporary directory that it renames at the end), in
its usual format: OCDBT and zarr, one array per leaf, no pickle. Orbax keeps no
checksum of the contents, so a manifest travels in its metadata:

    {"step", "config", "data", "progress", "format", "versions", "parts",
     "arrays": {name: entry}}

with the entries of `entries.py`; the manifest has a SHA-256 of its own.
"""

import errno
import importlib.metadata
import json
import pathlib
import platform
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

import pseudovideo
from pseudovideo.files import plain_names
from pseudovideo.runs.checkpoints import entries, older, reading

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
TEMPORARY = ".orbax-checkpoint-tmp"  # in the names of orbax's unfinished work

# Orbax logs every save in a dozen lines, and every failure in pages; failures
# are raised as well, so nothing is lost.
logging.get_absl_logger().addFilter(
  lambda record: "/orbax/checkpoint/" not in record.pathname
)


def write(
  path: pathlib.Path,
  manifest: Mapping[str, Any],
  copies: Mapping[str, np.ndarray],
) -> None:
  """Writes the directory `path`, which appears whole or not at all.

  Args:
    path: path that does not exist; its name is the step.
    manifest: {"step", "config", "data", "progress", "parts", "arrays"} without
      the hashes.
    copies: {name: array} of the manifest's arrays.

  Raises:
    OSError: the disk has less room than the arrays take uncompressed.
    Damaged: what is on disk now is not what was written.
  """
  needed = sum(copy.nbytes for copy in copies.values())
  free = shutil.disk_usage(path.parent).free
  if needed > free:
    text = f"{needed / 1e6:.3g} MB are needed, {free / 1e6:.3g} MB are free"
    raise OSError(errno.ENOSPC, text)
  versions = {name: importlib.metadata.version(name) for name in PACKAGES}
  versions |= {
    "python": platform.python_version(),
    "pseudovideo": pseudovideo.__version__,
  }
  found = entries.hashes(manifest["arrays"], copies)
  arrays = {
    name: {**entry, "sha256": found[name]}
    for name, entry in manifest["arrays"].items()
  }
  manifest = {
    **manifest,
    "format": older.FORMAT,
    "versions": versions,
    "arrays": arrays,
  }
  manifest = json.loads(json.dumps(manifest))
  tree = entries.nest(
    (entry["path"], copies[name])
    for name, entry in arrays.items()
    if copies[name].size  # orbax refuses empty arrays; the entry says it all
  )
  with plain_names.folder(path.parent) as parent, _orbax() as checkpointer:
    checkpointer.save(
      parent / path.name,
      args=ocp.args.Composite(state=ocp.args.PyTreeSave(tree)),
      custom_metadata={
        "manifest": manifest,
        "sha256": entries.manifest_hash(manifest),
      },
    )
  reading.verify(path)


def _orbax() -> ocp.Checkpointer:
  """A checkpointer that waits for no other process.

  Orbax's newer interface, `orbax.checkpoint.v1`, compares the path with the
  other processes' paths on the devices, which may be in the middle of a step.
  """
  me = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=me, active_processes={me}, barrier_sync_key_prefix="alone"
  )
  arrays = ocp.PyTreeCheckpointHandler(
    use_ocdbt=True, use_zarr3=True, multiprocessing_options=alone
  )
  options = ocp.CompositeOptions(multiprocessing_options=alone)
  parts = ocp.CompositeCheckpointHandler(
    composite_options=options, state=arrays
  )
  return ocp.Checkpointer(parts, multiprocessing_options=alone)
