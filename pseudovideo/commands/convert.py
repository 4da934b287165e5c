"""Published weights as a run, and a run's weights for the published code.

  python -m pseudovideo.convert --weights=FILE --workdir=DIR [--step=N] \\
      --config=configs/video_diffusion.py:dataset=cifar10,frames=4,preset=paper
  python -m pseudovideo.convert --export=FILE.safetensors --workdir=DIR

--weights makes a run folder with these weights, as parameters and as their
average, from which `python -m pseudovideo.main` samples, evaluates, and trains
on with a fresh optimizer. FILE is a safetensors, npz or torch file of improved
DDPM (a config with frames=1), flexible video diffusion or IV-VAE; --step says
how many updates made it (0 if absent). --export writes the averaged weights of
a run to FILE.npz or FILE.safetensors; --step chooses the checkpoint.

IV-VAE of 4 latent channels and base 64, for images of 104 pixels or more, which
all its dilations need (others: model.latent_channels=8 or 16, model.base=96):

  --config=configs/video_vae.py:dataset=folder:PATH?size=128,preset=paper \\
      --config.model.latent_channels=4 --config.model.rates="(1,3,6,9,12)"

Its discriminator is not published; a new one starts as the config says. The
numbers that IV-VAE's code scales latents by are not needed: a model of latents
measures its own on the images that it is trained on.
"""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from pseudovideo import errors
from pseudovideo.terminal import command_line, run_flags

TASKS = ("image_diffusion", "video_diffusion", "video_vae")


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  for name, meaning in (
    ("weights", "Make a run of the weights in this file."),
    ("export", "Write the weights of the run to this file."),
  ):
    flags.DEFINE_string(name, None, meaning, flag_values=values)
  run_flags.define(
    values,
    step="With --weights, note that so many updates made them; with --export, "
    "take the checkpoint of this step.",
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Converts in the direction asked for; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values)
  run_flags.workdir(values)
  if bool(values.weights) == bool(values.export):
    raise errors.UserError(
      "Give either --weights=FILE, to make a run of it, or --export=FILE, to "
      "write the weights of a run."
    )
  if values.weights and config is None:
    raise errors.UserError(
      "--weights needs the config of its network, such as "
      "--config=configs/video_diffusion.py:dataset=cifar10,preset=paper."
    )
  command_line.set_up()
  if values.weights and config is not None:
    print(_import(values, config))
  else:
    print(_export(values, config))
  return 0


def _import(values: flags.FlagValues, config: Any) -> str:
  """Makes a run folder; returns a sentence about it."""
  import jax
  import jax.numpy as jnp

  from pseudovideo import convert, data, optimizers, shapes
  from pseudovideo.runs import checkpoints
  from pseudovideo.tasks import base
  from pseudovideo.training import state

  step = values.step or 0
  if step < 0:
    raise errors.UserError(f"--step must not be negative; got {step}.")
  folder = pathlib.Path(values.workdir) / checkpoints.FOLDER
  if folder.exists():
    raise errors.UserError(
      f"{values.workdir} already holds checkpoints; give another --workdir."
    )
  _check_task(config.task)
  image_set = data.load(config.data.name, data_dir=values.data_dir)
  config = config.resolved(image_set.image_shape)
  task = config.make_task(image_set.image_shape)
  converted = convert.to_flax(
    convert.read(values.weights),
    _network(task),
    channels=image_set.image_shape[-1],
  )
  converted = jax.tree.map(jnp.asarray, converted)
  params, extra = task.init(jax.random.key(config.train.seed), image_set)
  coder = base.is_autoencoder(task)
  params = params | {"network": converted} if coder else converted
  opponent = base.discriminator_optimizer(task)
  tx = optimizers.for_players(config.optimizer, config.train.steps, opponent)
  made = state.create(params, extra, tx)
  made = dataclasses.replace(made, step=jnp.asarray(step, jnp.int32))
  with contextlib.closing(checkpoints.Checkpoints(folder)) as store:
    store.save(step, state.to_dict(made), config=config.raw, wait=True)
  mode = "evaluate" if coder else "sample"
  return (
    f"{values.workdir} holds {shapes.count_parameters(converted)} parameters "
    f"as step {step}; {mode} with: python -m pseudovideo.main --mode={mode} "
    f"--workdir={values.workdir}"
  )


def _export(values: flags.FlagValues, config: Any) -> str:
  """Writes the averaged weights of a run; returns a sentence about them."""
  from pseudovideo import convert, runs
  from pseudovideo.files import state_dicts
  from pseudovideo.tasks import base

  state_dicts.check_suffix(values.export)
  _check_task(runs.saved_config(values.workdir).task)
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir, config=config
  )
  task, params = restored.task, restored.params
  if base.is_autoencoder(task):
    params = params["network"]
  state_dict = convert.to_torch(params, _network(task))
  convert.write(values.export, state_dict)
  return (
    f"{values.export} holds the averaged weights of step {restored.step}, "
    f"{len(state_dict)} arrays."
  )


def _check_task(name: str) -> None:
  if name not in TASKS:
    raise errors.UserError(
      f"The task {name!r} has no published weights; the weights of "
      f"{', '.join(TASKS[:-1])} and {TASKS[-1]} can be converted."
    )


def _network(task: Any) -> Any:
  """The network, with outputs for the variances if these are learned."""
  from pseudovideo.tasks import base

  return task.model if base.is_autoencoder(task) else task.network


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
