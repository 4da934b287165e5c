"""Saving and restoring training, with every array checked by its hash.

store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER, keep=3)
found = store.restore(like=state)  # None on a first start
store.save(step, state, config=config)
store.close()
step, parts, config = checkpoints.load(workdir, parts=("ema", "extra"))
step, config, data, progress = checkpoints.facts(workdir)

May import what `runs` may, and no other file of `runs`.
"""

from pseudovideo.runs.checkpoints.restoring import (
  FOLDER,
  Facts,
  facts,
  load,
  load_like,
  load_with_facts,
  steps_in,
)
from pseudovideo.runs.checkpoints.store import Checkpoints

__all__ = [
  "FOLDER",
  "Checkpoints",
  "Facts",
  "facts",
  "load",
  "load_like",
  "load_with_facts",
  "steps_in",
]
