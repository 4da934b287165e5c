"""The systems as narrow networks whose cost is that of what grows."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import weights
from configs import hvae, token_prior, tokenizer, video_diffusion, video_vae
from pseudovideo import keys, optimizers
from pseudovideo.config import parsing
from pseudovideo.tasks import base, heat_hvae
from pseudovideo.tasks import token_prior as token_tasks
from pseudovideo.training import state, steps

SIDES = (8, 16, 32, 64)
BATCHES = (1, 4, 16)
TOKENS = (64, 256, 576, 1024)
TOKENS_OF_A_FRAME = 64


class Size(NamedTuple):
  """The size of a network's input.

  Attributes:
    frames: frames of a video; levels of an HVAE.
    side: of an image, in pixels.
    batch: images, videos or grids.
    tokens: of a grid.
  """

  frames: int = 4
  side: int = 16
  batch: int = 4
  tokens: int = 64


class Powers(NamedTuple):
  """The largest powers of a size in the cost: of attention, and of all else."""

  rest: int
  attention: int


def _alike(power: int) -> Powers:
  return Powers(power, power)


class System(NamedTuple):
  """A system, the sizes that it is given, and how its cost may grow.

  Attributes:
    title: its name in tables.
    make: makes the config and the task of a size.
    base: the size of which an axis changes one number.
    axes: axis -> its values, ascending.
    second: name of what is measured besides the update.
    powers: (program, axis) -> powers, where they are not those of `POWERS`.
  """

  title: str
  make: Callable[[Size], tuple[Any, Any]]
  base: Size
  axes: Mapping[str, tuple[int, ...]]
  second: str
  powers: Mapping[tuple[str, str], Powers]


POWERS = {
  "frames": _alike(1),
  "side": Powers(2, 4),
  "batch": _alike(1),
  "tokens": Powers(1, 2),
}


def _task(raw: Any, side: int, channels: int = 3) -> tuple[Any, Any]:
  config = parsing.parse(raw)
  return config, config.make_task((side, side, channels))


def _hvae(encoder: str) -> Callable[[Size], tuple[Any, Any]]:
  def make(size: Size) -> tuple[Any, Any]:
    raw = hvae.get_config(f"dataset=digits,encoder={encoder},preset=tiny")
    raw.task.levels = size.frames
    raw.model.channels = 32
    return _task(raw, size.side, 1)

  return make


def _diffusion(size: Size) -> tuple[Any, Any]:
  raw = video_diffusion.get_config("dataset=digits,frames=4,preset=tiny")
  raw.augmentation.frames = size.frames
  raw.task.context = size.frames // 2
  raw.sampler.respacing = "2"
  raw.model.channels = 32
  return _task(raw, size.side)


def _tokenizer(size: Size) -> tuple[Any, Any]:
  raw = tokenizer.get_config("dataset=cifar10,frames=8,preset=tiny")
  raw.augmentation.frames = raw.model.frames = size.frames
  raw.task.adversarial = False
  raw.model.update(dict(width=64, heads=4, head_width=16))
  raw.quantizer.update(dict(codes=256, width=64))
  return _task(raw, size.side)


def _prior(order: str) -> Callable[[Size], tuple[Any, Any]]:
  def make(size: Size) -> tuple[Any, Any]:
    frames = size.tokens // TOKENS_OF_A_FRAME
    source = tokenizer.get_config("dataset=cifar10,frames=8,preset=tiny")
    source.augmentation.frames = source.model.frames = 2 * frames
    source.task.adversarial = False
    raw = token_prior.get_config(f"dataset=cifar10,order={order},preset=tiny")
    raw.model.update(dict(width=48, heads=4))
    if order == "masked":
      raw.model.head_width = 12
    raw.tokenizer.config = source
    return _task(raw, 32)

  return make


def _video_vae(size: Size) -> tuple[Any, Any]:
  raw = video_vae.get_config("dataset=digits,frames=5,preset=tiny")
  raw.augmentation.frames = size.frames
  raw.task.image_share = 0.0
  raw.model.update(dict(multipliers=(1, 2), temporal=(True,), rates=(1,)))
  return _task(raw, size.side)


def _axes(frames: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
  return {"frames": frames, "side": SIDES, "batch": BATCHES}


_FRAMES = (2, 4, 8, 18)
_GRIDS = {"tokens": TOKENS, "batch": BATCHES}
SYSTEMS = {
  "heat_hvae": System(
    "heat HVAE",
    _hvae("heat"),
    Size(),
    _axes(_FRAMES),
    "sample",
    # An update sees one level of each image.
    {("update", "frames"): _alike(0)},
  ),
  "learned_hvae": System(
    "learned HVAE", _hvae("learned"), Size(), _axes(_FRAMES), "sample", {}
  ),
  "video_diffusion": System(
    "video diffusion",
    _diffusion,
    Size(),
    _axes(_FRAMES),
    "sample",
    # Windows grow with the video, and so does their number.
    {
      ("update", "frames"): Powers(1, 2),
      ("sample", "frames"): Powers(2, 3),
    },
  ),
  "video_tokenizer": System(
    "video tokenizer",
    _tokenizer,
    Size(),
    _axes(_FRAMES),
    "encode",
    {(name, "frames"): Powers(1, 2) for name in ("update", "encode")},
  ),
  "next_token": System(
    "next-token prior", _prior("next"), Size(), _GRIDS, "sample", {}
  ),
  "masked_token": System(
    "masked-token prior", _prior("masked"), Size(), _GRIDS, "sample", {}
  ),
  "video_vae": System(
    "video VAE (IV-VAE)",
    _video_vae,
    Size(frames=5),
    _axes((3, 5, 9, 17)),
    "reconstruct",
    {},
  ),
}


def powers(system: System, program: str, axis: str) -> Powers:
  """The largest powers of an axis in the cost of a program."""
  return system.powers.get((program, axis), POWERS[axis])


def memory_power(system: System, program: str, axis: str) -> int:
  """The largest power of an axis in the memory of a program.

  What is done one after another takes no more memory than once.
  """
  return min(powers(system, program, axis).attention, 2 * POWERS[axis].rest)


class Program(NamedTuple):
  """A function of (state, arguments), to be compiled.

  Attributes:
    function: what is measured.
    arguments: its arguments.
    advances: whether the first result takes the place of the first argument.
  """

  function: Callable[..., Any]
  arguments: tuple[Any, ...]
  advances: bool


def programs(system: System, size: Size) -> dict[str, Program]:
  """The update of a system, and its second program, with random weights."""
  config, task = system.make(size)
  key, batch = jax.random.key(0), _batch(task, size)
  tx = optimizers.for_players(
    config.optimizer, config.train.steps, base.discriminator_optimizer(task)
  )
  now = state.create(*_initial(task), tx)
  update = steps.make_step(task, tx, ema_decay=config.optimizer.ema_decay)
  second = _second(system.second, task, size.batch)
  # The update comes last, as it takes the arrays of the state.
  return {
    system.second: Program(second, (now.params, now.extra, batch, key), False),
    "update": Program(update, (now, batch, key), True),
  }


def _second(name: str, task: Any, num: int) -> Callable[..., Any]:
  """The function (params, extra, batch, key) that is measured as `name`."""
  if name != "sample":
    method = getattr(task, name)
    return lambda params, extra, batch, key: method(
      params, extra, batch["image"], key=key
    )
  draw = getattr(task, "sample_ids", task.sample)
  return lambda params, extra, batch, key: draw(params, extra, key=key, num=num)


def _batch(task: Any, size: Size) -> base.Batch:
  """Random images, or ids for a prior."""
  rng = np.random.default_rng(0)
  if isinstance(task, token_tasks.TokenPrior):
    shape = (size.batch, *task.coder.grid_shape)
    ids = rng.integers(0, task.coder.num_codes, shape, np.int32)
    return jax.device_put({token_tasks.IDS: ids})
  shape = (size.batch, *task.image_shape)
  return jax.device_put({base.IMAGE: rng.integers(0, 256, shape, np.uint8)})


def _initial(task: Any) -> tuple[Any, Any]:
  """Weights and what is kept besides, made without compiling."""
  key = keys.named(jax.random.key(0), "init")
  if isinstance(task, heat_hvae.HeatHVAE):
    image = jnp.zeros((1, *task.image_shape))
    made = weights.random(task.model.init, key, image, jnp.zeros((1,)))
    start = {"start_mean": image[0], "start_std": image[0]}
    return made["params"], base.make_extra(frozen=start)
  if not isinstance(task, token_tasks.TokenPrior):
    return weights.random(lambda key: task.init(key, None), key)
  params, extra = weights.random(lambda key: task.coder.init(key, None), key)
  coder = {"params": params, "extra": extra}
  return weights.random(lambda key: task.init(key, None, tokenizer=coder), key)
