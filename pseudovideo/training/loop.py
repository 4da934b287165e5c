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

from pseudovideo import errors, keys, optimizers, runs
from pseudovideo.config import parsing
from pseudovideo.data import pipeline
from pseudovideo.devices import distributed, sharding
from pseudovideo.first_stages import given, look_up
from pseudovideo.runs import checkpoints, metric_log, owning, trained_on
from pseudovideo.tasks import base
from pseudovideo.terminal import output, progress_bar, signals
from pseudovideo.training import (
  held_out,
  programs,
  recorder,
  starting,
  state,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The end of a call of `train`.

  Attributes:
    step: updates done.
    stopped_by: the signal that came, or None.
  """

  step: int
  stopped_by: signal.Signals | None


@output.forgiving()
def train(
  config: Mapping[str, Any] | parsing.Config,
  workdir: str | os.PathLike,
  *,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
  owned: bool = False,
) -> Outcome:
  """Trains until `train.steps`, resuming from the newest good checkpoint.

  Meanwhile no other process can train in the folder.

  Args:
    config: a `Config`, the ConfigDict of a config file, or its JSON form.
    workdir: folder of the run.
    data_dir: where TFDS sets are.
    devices: devices to train on; all by default.
    owned: whether the caller holds the folder's lock, see `owning.own`.

  Raises:
    UserError: a mistake in the config; another config or other data than the
      checkpoint's; or another process trains in the folder.
    RunError: a loss, gradient or weight that is not finite.
  """
  loop = Loop(config, workdir, data_dir=data_dir, devices=devices, owned=owned)
  try:
    return loop.run()
  finally:
    loop.close()


class Loop:
  """One run of training, to be used through `train`.

  It sets up, in this order: the config with its first stage, what the newest
  checkpoint says, the data and the task, the devices. Until here nothing is
  written. Then, under the folder's lock: the state (fresh or resumed), the
  examples, the compiled programs, the logs.

  Args:
    config: see `train`.
    workdir: see `train`.
    data_dir: see `train`.
    devices: see `train`.
    owned: see `train`.
  """

  def __init__(
    self,
    config: Mapping[str, Any] | parsing.Config,
    workdir: str | os.PathLike,
    *,
    data_dir: str | None = None,
    devices: Sequence[jax.Device] | None = None,
    owned: bool = False,
  ):
    found = look_up.look_up(parsing.parse(config), data_dir=data_dir)
    self._workdir = pathlib.Path(workdir)
    self._saved = self._read_saved(found)
    record = self._record_before(found)
    self._image_set = trained_on.load(found, record, data_dir)
    self._record = self._trained_on(
      found, record, accept=found.data.accept_changed
    )
    found = found.replaced("data", accept_changed=False)
    self._config = found.resolved(self._image_set.image_shape)
    self._task = self._config.make_task(self._image_set.image_shape)
    self._mesh = self._make_mesh(devices)
    self._key = jax.random.key(self._config.train.seed)
    self._stop = signals.StopRequest()
    self._looks = 0
    with contextlib.ExitStack() as stack:
      if not owned:
        stack.enter_context(owning.own(workdir))
      self._refuse_news()
      self._open(stack)
      self._stack = stack.pop_all()

  def _open(self, stack: contextlib.ExitStack) -> None:
    """Opens what the folder holds, and builds what updates need.

    Args:
      stack: closed at the end of the run.
    """
    self._checkpoints = stack.enter_context(self._open_checkpoints())
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
    self._writer = stack.enter_context(contextlib.closing(self._open_log()))
    self._recorder = recorder.Recorder(
      self._config,
      self._writer,
      self._saved and self._saved.progress,
      metric_log.train_seconds(self._workdir) or 0.0,
    )

  def close(self) -> None:
    """Finishes what is being written, and gives the folder back."""
    self._stack.close()

  def run(self) -> Outcome:
    """Runs updates until the end, or until a signal.

    Raises:
      RunError: a step or a weight is not finite, or no step was good.
    """
    with signals.catch_stop(several=distributed.several()) as stop:
      self._stop = stop
      step = int(self._state.step)
      going_on = self._finish_evaluation(step)
      if going_on and step < self._config.train.steps:
        step = self._update(step)
      self._checkpoints.wait()
    self._refuse_if_all_left_out(step)
    distributed.wait_for_all("end of training")
    return Outcome(step, stop.signal)

  def _update(self, step: int) -> int:
    """Runs updates from `step` on; returns how many are done."""
    key = sharding.put(
      keys.named(self._key, "train"), sharding.replicated(self._mesh)
    )
    self._recorder.start_clock()
    with (
      contextlib.closing(self._feed(step)) as feed,
      contextlib.closing(self._progress(step)) as progress,
    ):
      for number, batch in feed:
        self._state, metrics = self._programs.update(self._state, batch, key)
        step = number + 1
        self._recorder.add(step, metrics)
        progress.update(step, metrics["loss"].addressable_data(0)[0])
        # Read once: a signal that comes now counts for the next step.
        stopping = self._is_stopped()
        self._after_step(step, stopping=stopping)
        if stopping or not self._evaluate(step):
          break
    return step

  def _is_stopped(self) -> bool:
    """True after a signal, in all processes at the same call; all call it."""
    self._looks += 1
    if distributed.should_stop(self._looks):
      self._stop.signal = signal.SIGTERM
    return self._stop.signal is not None

  def _make_mesh(self, devices: Sequence[jax.Device] | None) -> Mesh:
    train = self._config.train
    mesh = sharding.make_mesh(devices)
    sharding.check_batch_size(
      "train.batch_size / train.accumulate",
      train.batch_size // train.accumulate,
      mesh,
    )
    return mesh

  def _open_checkpoints(self) -> contextlib.closing[checkpoints.Checkpoints]:
    store = checkpoints.Checkpoints(
      self._workdir / checkpoints.FOLDER,
      keep=self._config.train.keep,
      keep_every=self._config.train.keep_every or None,
    )
    return contextlib.closing(store)

  def _read_saved(self, config: parsing.Config) -> checkpoints.Facts | None:
    """What the newest checkpoint says, which must be of the same config."""
    if not checkpoints.steps_in(self._workdir / checkpoints.FOLDER):
      return None
    found = checkpoints.facts(self._workdir)
    runs.refuse_changes(self._workdir, found.config, config, record=found.data)
    return found

  def _record_before(self, config: parsing.Config) -> trained_on.Record | None:
    """The record of the run that this one resumes, or starts from.

    Of another folder than that run's the held-out names say nothing.
    """
    if self._saved is not None:
      return self._saved.data
    if not config.train.start_from:
      return None
    other = checkpoints.facts(config.train.start_from)
    if other.data is None or other.config["data"]["name"] == config.data.name:
      return other.data
    return {**other.data, "held_out": None}

  def _refuse_news(self) -> None:
    """Refuses a run that another process began since the folder was looked at.

    Raises:
      UserError: its config or its data are not those that were checked.
    """
    news = self._read_saved(self._config)
    seen = [s and (s.config, s.data) for s in (self._saved, news)]
    if seen[0] != seen[1]:
      raise errors.UserError(
        f"Another process trained in {self._workdir} just now; run the same "
        "command again."
      )

  def _trained_on(
    self,
    config: parsing.Config,
    record: trained_on.Record | None,
    *,
    accept: bool,
  ) -> trained_on.Record:
    """The record of the data, which must be those of the checkpoint.

    A run that is at its end is trained on nothing any more, and keeps its own.
    """
    saved = self._saved
    if saved is None:
      return trained_on.make(self._image_set, record)
    if record is None:
      logging.warning(
        "The checkpoint in %s is of a version that kept no fingerprint of its "
        "data; it is taken to be of %s as it is now.",
        self._workdir,
        self._image_set.name,
      )
    elif (
      saved.step >= config.train.steps
      and saved.config["data"]["name"] == config.data.name
    ):
      return record
    trained_on.refuse_others(
      self._workdir, record, self._image_set, accept=accept
    )
    made = trained_on.make(self._image_set, record, saved.step)
    if record and made["fingerprint"] != record["fingerprint"]:
      logging.warning("Training goes on with other images than until now.")
    return made

  def _fresh_state(self, tx: optax.GradientTransformation) -> state.TrainState:
    params, extra = given.init(
      self._task, keys.named(self._key, "init"), self._image_set
    )
    fresh = state.create(params, extra, tx)
    other = self._config.train.start_from
    if other and self._saved is None:
      return starting.from_run(fresh, other)
    return fresh

  def _resumed(self, fresh: state.TrainState) -> state.TrainState:
    """The state of the newest good checkpoint; `fresh` if there is none."""
    found = self._checkpoints.restore(like=state.to_dict(fresh))
    if found is None:
      return fresh
    step, parts, _ = found
    logging.info("Resuming from step %d of %s.", step, self._workdir)
    saved = checkpoints.facts(self._workdir, step)
    if self._saved is None or saved.data != self._saved.data:
      raise errors.UserError(
        f"A damaged checkpoint in {self._workdir} was set aside, and the one "
        "before it was trained on other data; run the same command again."
      )
    self._saved = saved
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
    """Logs and saves when their time has come.

    A signal causes no line of the log: what came since the last one is saved.
    """
    config = self._config.train
    last = step == config.steps
    log = last or step % config.log_every == 0
    save = stopping or self._is_saved(step)
    if log or save:
      self._check_finite()
    if log:
      self._recorder.log(step)
    if save:
      self._save(step)

  def _is_saved(self, step: int) -> bool:
    """True if a step has a checkpoint even if no signal comes."""
    config = self._config.train
    return step == config.steps or step % config.save_every == 0

  def _evaluate(self, step: int) -> bool:
    """Logs held-out losses and pictures when their time has come.

    Returns:
      False if a signal came first: the step is saved, and the process that
      resumes from it evaluates it.
    """
    every, steps = self._config.train.eval_every, self._config.train.steps
    if not every or not step or (step % every and step != steps):
      return True
    losses = self._held_out.losses(self._state, self._is_stopped)
    if losses is None:
      if not self._is_saved(step):
        self._check_finite()
        self._save(step)
      return False
    # The losses come last: a step that has them is done.
    for name, picture in self._held_out.pictures(self._state).items():
      self._writer.images(step, name, picture)
    self._writer.scalars(step, losses, held_out.SPLIT)
    return True

  def _finish_evaluation(self, step: int) -> bool:
    """Evaluates the step that is resumed from if a signal or a kill came first.

    Args:
      step: updates done.

    Returns:
      False if a signal comes again.
    """
    logged = any(
      row["step"] == step and row["split"] == held_out.SPLIT
      for row in metric_log.read_metrics(self._workdir)
    )
    return distributed.first_says(logged) or self._evaluate(step)

  def _save(self, step: int) -> None:
    with self._last_good_named():
      self._checkpoints.save(
        step,
        state.to_dict(self._state),
        config=self._config.raw,
        data=self._record,
        progress=self._recorder.progress(),
        wait=self._config.train.wait_for_saves,
      )

  def _check_finite(self) -> None:
    """Checks every step since the last check.

    Raises:
      RunError: names the step and the last good checkpoint.
    """
    with self._last_good_named():
      self._recorder.check()

  @contextlib.contextmanager
  def _last_good_named(self) -> Generator[None]:
    """Completes the sentence about something that is not finite."""
    try:
      yield
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

  def _refuse_if_all_left_out(self, step: int) -> None:
    """Refuses to call a run trained whose every step was left out.

    Raises:
      RunError: so it was.
    """
    if 0 < step <= self._recorder.left_out:
      raise errors.RunError(
        f"The loss or grad_norm was not finite at any of the {step} steps: "
        f"nothing was learned in {self._workdir}. Lower "
        "optimizer.learning_rate or set optimizer.clip_norm, in a new "
        "--workdir."
      )
