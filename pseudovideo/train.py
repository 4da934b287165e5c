"""The training loop: data, step, log, evaluate, save, resume.

There is one loop for every system; it knows no task by name.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from pseudovideo import (
  checkpoints,
  configuration,
  data,
  distributed,
  errors,
  first_stages,
  guards,
  keys,
  optimizers,
  runs,
  sampling,
  sharding,
  signals,
  state,
  steps,
  writer,
)
from pseudovideo.data import pipeline
from pseudovideo.tasks import base

_RUN_AHEAD = 8


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a call of `train` ended.

  Attributes:
    step: updates done.
    stopped_by: the signal that ended it early, or None.
  """

  step: int
  stopped_by: signal.Signals | None


def train(
  raw: Mapping[str, Any],
  workdir: str | os.PathLike,
  *,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> Outcome:
  """Trains until `train.steps`, going on from the newest good checkpoint.

  Args:
    raw: ConfigDict of a config file, or its JSON form.
    workdir: folder of the run.
    data_dir: where TFDS sets are.
    devices: to train on; all by default.

  Raises:
    UserError: a mistake in the config, or another config than the checkpoint's.
    RunError: a loss or gradient that is not finite.
  """
  loop = Loop(raw, workdir, data_dir=data_dir, devices=devices)
  try:
    return loop.run()
  finally:
    loop.close()


class Loop:
  """The parts of one run; `train` is the way to use it."""

  def __init__(self, raw, workdir, *, data_dir=None, devices=None):
    raw = first_stages.look_up(raw, data_dir=data_dir)
    self._raw = configuration.to_json(configuration.complete(raw))
    self._config = config = configuration.parse(raw)
    self._workdir = pathlib.Path(workdir)
    self._image_set = data.load(config.data.name, data_dir=data_dir)
    self._task = config.make_task(self._image_set.image_shape)
    self._mesh = sharding.make_mesh(devices)
    sharding.check_batch_size(
      "train.batch_size / train.accumulate",
      config.train.batch_size // config.train.accumulate,
      self._mesh,
    )
    self._key = jax.random.key(config.train.seed)
    self._schedule = optimizers.make_schedule(
      config.optimizer, config.train.steps
    )
    self._checkpoints = checkpoints.Checkpoints(
      self._workdir / checkpoints.FOLDER,
      keep=config.train.keep,
      keep_every=config.train.keep_every or None,
    )
    self._check_same_config()
    tx = optimizers.for_players(
      config.optimizer,
      config.train.steps,
      base.discriminator_optimizer(self._task),
    )
    self._state = self._initial_state(tx)
    self._examples = base.examples(
      self._task,
      sharding.own_copy(self._state.extra),
      self._image_set,
      batch_size=config.evaluate.batch_size,
    )
    self._compile(tx)
    start = int(self._state.step)
    self._writer = writer.MetricWriter(
      self._workdir,
      resume_step=start if start else -1,
      process_index=jax.process_index(),
    )
    self._writer.text(
      0, "config", f"```\n{json.dumps(self._raw, indent=2)}\n```"
    )
    self._seconds = _logged_seconds(self._workdir)
    self._pending: list[tuple[int, steps.Metrics]] = []
    self._guard = guards.Guard(config.train.skip_bad_steps)
    self._skipped = 0

  def close(self) -> None:
    """Finishes what is being written."""
    self._writer.close()
    self._checkpoints.close()

  def run(self) -> Outcome:
    """Steps until the end, or until a signal."""
    config = self._config.train
    step = int(self._state.step)
    if step >= config.steps:
      return Outcome(step, None)
    batches = pipeline.Batches(
      self._examples.train,
      self._image_set.train_labels,
      batch_size=config.batch_size,
      seed=config.seed,
      name=self._examples.name,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    key = sharding.put(
      keys.named(self._key, "train"), sharding.replicated(self._mesh)
    )
    feed = pipeline.prefetch(
      batches,
      step,
      config.steps,
      lambda batch: sharding.put_batch(batch, self._mesh),
    )
    self._clock = time.monotonic()
    with (
      signals.catch_stop(several=distributed.several()) as stop,
      contextlib.closing(feed),
      contextlib.closing(
        writer.Progress(
          config.steps,
          step,
          config.batch_size,
          description=distributed.label(self._config.title),
        )
      ) as progress,
    ):
      for number, batch in feed:
        self._state, metrics = self._step(self._state, batch, key)
        step = number + 1
        self._pending.append((step, metrics))
        if len(self._pending) > _RUN_AHEAD:
          jax.block_until_ready(self._pending[-_RUN_AHEAD][1])
        progress.update(step, metrics["loss"].addressable_data(0)[0])
        # Looked at once: a signal that comes now is for the next step.
        if distributed.should_stop(step):
          stop.signal = signal.SIGTERM
        stopping = stop.signal is not None
        self._after_step(step, stopping=stopping)
        if stopping:
          break
    self._checkpoints.wait()
    distributed.wait_for_all("end of training")
    stopped = step < config.steps
    return Outcome(step, stop.signal if stopped else None)

  def _after_step(self, step: int, *, stopping: bool) -> None:
    """Logs, evaluates and saves when their time has come."""
    config = self._config.train
    last = step == config.steps or stopping
    if last or step % config.log_every == 0 or step % config.save_every == 0:
      self._check_finite()
    if step % config.log_every == 0 or last:
      self._log(step)
    if stopping:
      # First, since whoever sent the signal may not wait long.
      self._save(step)
    if config.eval_every and (
      step % config.eval_every == 0 or step == config.steps
    ):
      self._evaluate(step)
    if not stopping and (step % config.save_every == 0 or last):
      self._save(step)

  def _save(self, step: int) -> None:
    self._checkpoints.save(
      step,
      state.to_dict(self._state),
      config=self._raw,
      wait=self._config.train.wait_for_saves,
    )

  def _check_finite(self) -> None:
    """Looks at every step since the last look.

    Raises:
      RunError: names the step and the last good checkpoint.
    """
    self._pending = jax.device_get(self._pending)
    try:
      self._skipped += self._guard.count(self._pending)
    except errors.RunError as error:
      self._checkpoints.wait()
      good = self._checkpoints.latest_step()
      where = (
        f"the last good checkpoint is that of step {good}"
        if good is not None
        else "there is no checkpoint yet"
      )
      raise errors.RunError(
        f"{error}; {where}, in {self._workdir}. Lower optimizer.learning_rate, "
        "set optimizer.clip_norm, or have such steps left out by "
        "train.skip_bad_steps."
      ) from None

  def _log(self, step: int) -> None:
    now = time.monotonic()
    self._seconds += now - self._clock
    self._clock = now
    means = steps.average([metrics for _, metrics in self._pending])
    self._pending = []
    means.setdefault("loss", float("nan"))  # If all steps were left out.
    if self._config.train.skip_bad_steps:
      means["skipped"] = self._skipped
      self._skipped = 0
    means["learning_rate"] = float(self._schedule(step - 1))
    means["images_seen"] = step * self._config.train.batch_size
    means["seconds"] = self._seconds
    self._writer.scalars(step, means)

  def _evaluate(self, step: int) -> None:
    """Held-out loss and pictures, with the averaged weights."""
    key = keys.named(self._key, "evaluate")
    size = self._config.train.batch_size // self._config.train.accumulate
    sums, seen = [], 0
    for batch in pipeline.held_out(
      self._examples.test,
      self._image_set.test_labels,
      size,
      self._examples.name,
    ):
      rows = keys.example_keys(key, size, seen)
      seen += size
      batch, rows = sharding.put(
        (batch, rows), sharding.split_batch(self._mesh)
      )
      sums.append(
        self._eval_step(self._state.ema, self._state.extra, batch, rows)
      )
    self._writer.scalars(step, steps.average(jax.device_get(sums)), "held_out")
    videos = np.asarray(
      self._sampler(self._state.ema, self._state.extra, *self._grid_inputs())
    )
    for name, picture in sampling.pictures(videos).items():
      self._writer.images(step, name, picture)

  def _grid_inputs(self) -> list[Any]:
    """Keys of the sample grid, and the images if they are reconstructed."""
    key, num = keys.named(self._key, "grid"), self._config.train.grid
    if not base.is_autoencoder(self._task):
      return [keys.example_keys(key, num)]
    images = data.spread(self._image_set.test_images, num)
    return [keys.example_keys(key, len(images)), images]

  def _check_same_config(self) -> None:
    """Refuses to go on from a checkpoint of another config."""
    if not self._checkpoints.steps():
      return
    saved = runs.saved_config(self._workdir)
    runs.refuse_changes(self._workdir, saved, self._raw)

  def _initial_state(self, tx) -> state.TrainState:
    """A fresh state, or that of the newest good checkpoint."""
    params, extra = self._task.init(
      keys.named(self._key, "init"), self._image_set
    )
    fresh = state.create(params, extra, tx)
    self._places = sharding.of_state(
      fresh, self._mesh, fsdp=self._config.train.fsdp
    )
    fresh = sharding.put(fresh, self._places)
    found = self._checkpoints.restore(like=state.to_dict(fresh))
    if found is None:
      return fresh
    step, parts, _ = found
    logging.info("Going on from step %d of %s.", step, self._workdir)
    return state.TrainState(**parts)

  def _compile(self, tx) -> None:
    """Jits the steps: the state donated, the batch cut."""
    whole = sharding.replicated(self._mesh)
    cut = sharding.split_batch(self._mesh)
    places = self._places
    self._step = jax.jit(
      steps.make_step(
        self._task,
        tx,
        ema_decay=self._config.optimizer.ema_decay,
        ema_warmup=self._config.optimizer.ema_warmup,
        accumulate=self._config.train.accumulate,
        skip_bad=self._config.train.skip_bad_steps > 0,
      ),
      in_shardings=(places, cut, whole),
      out_shardings=(places, whole),
      donate_argnums=0,
    )
    self._eval_step = jax.jit(
      steps.make_eval_step(self._task),
      in_shardings=(places.ema, whole, cut, cut),
      out_shardings=whole,
    )
    self._sampler = sampling.make_sampler(
      self._task, self._mesh, weights=places.ema
    )


def _logged_seconds(workdir: pathlib.Path) -> float:
  """Training time of earlier processes up to the checkpoint."""
  rows = [r for r in writer.read_metrics(workdir) if r["split"] == "train"]
  return rows[-1]["seconds"] if rows else 0.0
