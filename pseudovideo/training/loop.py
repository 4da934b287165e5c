"""The training loop: data, step, log, evaluate, save, resume.

There is one loop for every system; it knows no task by name.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import jax
import optax
from absl import logging
from jax.sharding import Mesh

from pseudovideo import data, errors, keys, optimizers, runs
from pseudovideo.config import parsing
from pseudovideo.data import pipeline
from pseudovideo.devices import distributed, sharding
from pseudovideo.first_stages import given, look_up
from pseudovideo.runs import checkpoints, metric_log
from pseudovideo.tasks import base
from pseudovideo.terminal import progress_bar, signals
from pseudovideo.training import held_out, programs, recorder, state


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The end of a call of `train`.

  Attributes:
    step: updates done.
    stopped_by: the signal that ended it early, or None.
  """

  step: int
  stopped_by: signal.Signals | None


def train(
  config: Mapping[str, Any] | parsing.Config,
  workdir: str | os.PathLike,
  *,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> Outcome:
  """Trains until `train.steps`, resuming from the newest good checkpoint.

  Args:
    config: a `Config`, the ConfigDict of a config file, or its JSON form.
    workdir: folder of the run.
    data_dir: where TFDS sets are.
    devices: devices to train on; all by default.

  Raises:
    UserError: a mistake in the config, or another config than the checkpoint's.
    RunError: a loss or gradient that is not finite.
  """
  loop = Loop(config, workdir, data_dir=data_dir, devices=devices)
  try:
    return loop.run()
  finally:
    loop.close()


class Loop:
  """One run of training, to be used through `train`.

  It sets up, in this order: the config with its first stage, the data and the
  task, the devices, the state (fresh or resumed), the examples, the compiled
  programs, the logs.

  Args:
    config: see `train`.
    workdir: see `train`.
    data_dir: see `train`.
    devices: see `train`.
  """

  def __init__(
    self,
    config: Mapping[str, Any] | parsing.Config,
    workdir: str | os.PathLike,
    *,
    data_dir: str | None = None,
    devices: Sequence[jax.Device] | None = None,
  ):
    found = look_up.look_up(parsing.parse(config), data_dir=data_dir)
    self._workdir = pathlib.Path(workdir)
    self._image_set = data.load(found.data.name, data_dir=data_dir)
    self._config = found.resolved(self._image_set.image_shape)
    self._task = self._config.make_task(self._image_set.image_shape)
    self._mesh = self._make_mesh(devices)
    self._key = jax.random.key(self._config.train.seed)
    self._checkpoints = self._open_checkpoints()
    tx = optimizers.for_players(
      self._config.optimizer,
      self._config.train.steps,
      base.discriminator_optimizer(self._task),
    )
    fresh = self._fresh_state(tx)
    places = state.of_state(fresh, self._mesh, fsdp=self._config.train.fsdp)
    self._state = self._resumed(sharding.put(fresh, places))
    self._examples = given.examples(
      self._task,
      sharding.own_copy(self._state.extra),
      self._image_set,
      batch_size=self._config.evaluate.batch_size,
    )
    self._programs = programs.build(
      self._task, self._config, tx, places, self._mesh
    )
    self._held_out = held_out.HeldOut(
      self._config,
      self._task,
      self._image_set,
      self._examples,
      self._programs,
      self._mesh,
    )
    self._writer = self._open_log()
    self._recorder = recorder.Recorder(
      self._config,
      self._writer,
      metric_log.train_seconds(self._workdir) or 0.0,
    )

  def close(self) -> None:
    """Finishes what is being written."""
    self._writer.close()
    self._checkpoints.close()

  def run(self) -> Outcome:
    """Runs updates until the end, or until a signal."""
    step, steps = int(self._state.step), self._config.train.steps
    if step >= steps:
      return Outcome(step, None)
    key = sharding.put(
      keys.named(self._key, "train"), sharding.replicated(self._mesh)
    )
    self._recorder.start_clock()
    with (
      signals.catch_stop(several=distributed.several()) as stop,
      contextlib.closing(self._feed(step)) as feed,
      contextlib.closing(self._progress(step)) as progress,
    ):
      for number, batch in feed:
        self._state, metrics = self._programs.update(self._state, batch, key)
        step = number + 1
        self._recorder.add(step, metrics)
        progress.update(step, metrics["loss"].addressable_data(0)[0])
        # Read once: a signal that comes now counts for the next step.
        if distributed.should_stop(step):
          stop.signal = signal.SIGTERM
        stopping = stop.signal is not None
        self._after_step(step, stopping=stopping)
        if stopping:
          break
    self._checkpoints.wait()
    distributed.wait_for_all("end of training")
    return Outcome(step, stop.signal if step < steps else None)

  def _make_mesh(self, devices: Sequence[jax.Device] | None) -> Mesh:
    train = self._config.train
    mesh = sharding.make_mesh(devices)
    sharding.check_batch_size(
      "train.batch_size / train.accumulate",
      train.batch_size // train.accumulate,
      mesh,
    )
    return mesh

  def _open_checkpoints(self) -> checkpoints.Checkpoints:
    """Opens the run's checkpoints, which must be of the same config."""
    store = checkpoints.Checkpoints(
      self._workdir / checkpoints.FOLDER,
      keep=self._config.train.keep,
      keep_every=self._config.train.keep_every or None,
    )
    if store.steps():
      saved = runs.saved_config(self._workdir)
      runs.refuse_changes(self._workdir, saved, self._config)
    return store

  def _fresh_state(self, tx: optax.GradientTransformation) -> state.TrainState:
    params, extra = given.init(
      self._task, keys.named(self._key, "init"), self._image_set
    )
    return state.create(params, extra, tx)

  def _resumed(self, fresh: state.TrainState) -> state.TrainState:
    """The state of the newest good checkpoint; `fresh` if there is none."""
    found = self._checkpoints.restore(like=state.to_dict(fresh))
    if found is None:
      return fresh
    step, parts, _ = found
    logging.info("Resuming from step %d of %s.", step, self._workdir)
    return state.TrainState(**parts)

  def _open_log(self) -> metric_log.MetricWriter:
    """Opens the log, without lines of steps that are done again."""
    start = int(self._state.step)
    writer = metric_log.MetricWriter(
      self._workdir,
      resume_step=start if start else -1,
      process_index=jax.process_index(),
    )
    text = json.dumps(self._config.raw, indent=2)
    writer.text(0, "config", f"```\n{text}\n```")
    return writer

  def _feed(self, start: int) -> Generator[tuple[int, Any], None, None]:
    """Yields (number, batch on the devices) of every step from `start` on."""
    batches = pipeline.Batches(
      self._examples.train,
      self._image_set.train_labels,
      batch_size=self._config.train.batch_size,
      seed=self._config.train.seed,
      name=self._examples.name,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    return pipeline.prefetch(
      lambda step: sharding.put_batch(batches.batch(step), self._mesh),
      start,
      self._config.train.steps,
    )

  def _progress(self, start: int) -> progress_bar.Progress:
    return progress_bar.Progress(
      self._config.train.steps,
      start,
      self._config.train.batch_size,
      description=distributed.label(self._config.title),
    )

  def _after_step(self, step: int, *, stopping: bool) -> None:
    """Logs, evaluates and saves when their time has come."""
    config = self._config.train
    last = step == config.steps or stopping
    log = last or step % config.log_every == 0
    if log or step % config.save_every == 0:
      self._check_finite()
    if log:
      self._recorder.log(step)
    if stopping:
      # Saving comes first, since whoever sent the signal may not wait long.
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
      config=self._config.raw,
      wait=self._config.train.wait_for_saves,
    )

  def _check_finite(self) -> None:
    """Checks every step since the last check.

    Raises:
      RunError: names the step and the last good checkpoint.
    """
    try:
      self._recorder.check()
    except errors.RunError as error:
      self._checkpoints.wait()
      good = self._checkpoints.latest_step()
      where = (
        f"the last good checkpoint is of step {good}"
        if good is not None
        else "there is no checkpoint yet"
      )
      raise errors.RunError(
        f"{error}; {where}, in {self._workdir}. Lower optimizer.learning_rate, "
        "set optimizer.clip_norm, or have such steps left out by "
        "train.skip_bad_steps."
      ) from None

  def _evaluate(self, step: int) -> None:
    losses = self._held_out.losses(self._state)
    self._writer.scalars(step, losses, "held_out")
    for name, picture in self._held_out.pictures(self._state).items():
      self._writer.images(step, name, picture)
