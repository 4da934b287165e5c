"""Starts a run from the weights of another one."""

import dataclasses
from typing import Any

from absl import logging

from pseudovideo.runs import checkpoints
from pseudovideo.tasks import base
from pseudovideo.training import state


def from_run(fresh: state.TrainState, workdir: str) -> state.TrainState:
  """The state before the first update, with the weights of another run.

  Parameters, their average and what updates change besides come from there. The
  optimizer begins anew, and what is frozen follows from this run's data and
  first stage.

  Args:
    fresh: the state of a new run.
    workdir: folder of the other run; its newest good checkpoint counts.

  Raises:
    UserError: there is no checkpoint, or it does not fit.
  """
  like: dict[str, Any] = {"params": fresh.params, "ema": fresh.ema}
  changing = base.state_of(fresh.extra)
  if changing:
    like["extra"] = {"state": changing}
  step, found = checkpoints.load_like(workdir, like)
  logging.info("Starting from step %d of %s.", step, workdir)
  extra = found.get("extra", {})
  return dataclasses.replace(
    fresh,
    params=found["params"],
    ema=found["ema"],
    extra=fresh.extra | extra,
  )
