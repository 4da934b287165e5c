"""Every config file, with all combinations of its arguments."""

import dataclasses
import functools
import itertools
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from configs import (
  common,
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo import (
  augmentations,
  configuration,
  errors,
  optimizers,
  state,
  tasks,
)
from pseudovideo.data import CLIP_SETS, SETS
from pseudovideo.diffusion import process
from pseudovideo.losses import masked_tokens
from pseudovideo.models.video_vae import initialisation, tae
from pseudovideo.samplers import masked, settings
from pseudovideo.samplers import tokens as token_samplers

ROOT = pathlib.Path(__file__).parents[1]
# Config file -> its arguments. A new file must be named here.
ARGUMENTS = {
  hvae: {
    "dataset": hvae.DATASETS,
    "encoder": hvae.ENCODERS,
    "preset": hvae.PRESETS,
  },
  video_diffusion: {
    "dataset": video_diffusion.DATASETS,
    "frames": video_diffusion.FRAMES,
    "augmentation": video_diffusion.AUGMENTATIONS,
    "preset": video_diffusion.PRESETS,
  },
  tokenizer: {
    "dataset": tokenizer.DATASETS,
    "frames": tokenizer.FRAMES,
    "recipe": tokenizer.RECIPES,
    "preset": tokenizer.PRESETS,
  },
  token_prior: {
    "dataset": token_prior.DATASETS,
    "order": token_prior.ORDERS,
    "preset": token_prior.PRESETS,
  },
  latent_diffusion: {
    "dataset": latent_diffusion.DATASETS,
    "preset": latent_diffusion.PRESETS,
  },
  # Without clips, whose name has to say more; see below.
  video_vae: {
    "dataset": [n for n in video_vae.DATASETS if n != "videos:PATH"],
    "frames": video_vae.FRAMES,
    "network": video_vae.NETWORKS,
    "preset": video_vae.PRESETS,
  },
}
# Section of the first stage, file of its configs, and frames.
FIRST_STAGES = {
  token_prior: ("tokenizer", tokenizer, 8),
  latent_diffusion: ("autoencoder", video_vae, 5),
}
SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
  "folder:PATH": (48, 32, 3),
}


def shape_of(module, options):
  """The heat equation's HVAE and discriminators take square images only."""
  height, width, channels = SHAPES[options["dataset"]]
  if module is hvae:
    return height, height, channels
  of_tokens = module in (tokenizer, token_prior)
  return width if of_tokens else height, width, channels


def combinations(module, arguments):
  """Every choice; diffusion of one frame, without augmentation, is once."""
  for values in itertools.product(*arguments.values()):
    options = dict(zip(arguments, values, strict=True))
    if options.get("frames") == "1" and "augmentation" in options:
      if options["augmentation"] != arguments["augmentation"][0]:
        continue
      del options["augmentation"]
    yield module, options


COMBINATIONS = [
  combination
  for module, arguments in ARGUMENTS.items()
  for combination in combinations(module, arguments)
]


def each(chosen):
  return pytest.mark.parametrize(
    ("module", "options"),
    chosen,
    ids=[",".join(options.values()) for _, options in chosen],
  )


def load(module, options, frames=None):
  """The config; that of its first stage, if it needs one, is filled in."""
  argument = ",".join(f"{name}={value}" for name, value in options.items())
  config = module.get_config(argument)
  if module in FIRST_STAGES:
    section, coders, default = FIRST_STAGES[module]
    coder = coders.get_config(
      f"dataset={options['dataset']},preset={options['preset']},"
      f"frames={frames or default}"
    )
    config[section].hash = "0" * 64
    config[section].config = configuration.to_json(
      configuration.complete(coder)
    )
  return config


@functools.cache
def shapes_of(network, image_shape):
  """Parameter shapes; nothing is allocated, however large the network."""
  variables = jax.eval_shape(
    network.init,
    jax.random.key(0),
    jnp.zeros((1, *image_shape)),
    jnp.zeros((1,)),
  )
  return variables["params"]


@functools.cache
def _diffusion_shapes(cls, model, process, channels):
  """The same; they do not depend on the size of the images."""
  arguments = {
    tasks.TABLE["image_diffusion"]: "frames=1",
    tasks.TABLE["video_diffusion"]: "frames=4",
  }
  raw = video_diffusion.get_config(arguments[cls])
  side = 2 ** len(model.multipliers)
  task = configuration.parse(raw).make_task((side, side, channels))
  task = dataclasses.replace(task, model=model, process=process)
  return jax.eval_shape(lambda key: task.init(key, None)[0], jax.random.key(0))


@functools.cache
def _players_shapes(network, judge, image_shape):
  """The same of a tokenizer and of its discriminator, which may be None."""
  video = jnp.zeros((1, network.frames, *image_shape))
  given = [(network, video)] + [(judge, video[:, 0])] * (judge is not None)
  return [
    jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    for module, x in given
  ]


@functools.cache
def _vae_shapes(network, judge):
  """The same of a video VAE, whatever the size of clips, and of its judge."""
  side = 2 ** len(network.multipliers)
  clip = jnp.zeros((1, 1, side, side, network.image_channels))
  return [
    jax.eval_shape(module.init, jax.random.key(0), clip)["params"]
    for module in (network, judge)
    if module is not None
  ]


@functools.cache
def _prior_shapes(task):
  """The same of what a model of tokens learns."""
  return jax.eval_shape(task.init_params, jax.random.key(0))


@functools.cache
def _latent_shapes(denoiser):
  """The same of what a model of latents learns."""
  make = denoiser.init
  return jax.eval_shape(lambda key: make(key, None)[0], jax.random.key(0))


def parameters(task):
  """Number of parameters of every network of a task."""
  shape = task.image_shape
  if hasattr(task, "denoiser"):
    trees = [_latent_shapes(task.denoiser)]
  elif hasattr(task, "coder"):
    trees = list(_prior_shapes(task).values())
  elif hasattr(task, "posterior"):
    judge = task.discriminator if task.adversarial else None
    trees = _vae_shapes(task.model, judge)
  elif hasattr(task, "quantizer"):
    judge = task.discriminator if task.adversarial else None
    trees = _players_shapes(task.model, judge, shape)
  elif hasattr(task, "process"):
    trees = [_diffusion_shapes(type(task), task.model, task.process, shape[-1])]
  else:
    trees = [
      shapes_of(value, shape)
      for name in tasks.SECTIONS
      if isinstance(value := getattr(task, name, None), nn.Module)
    ]
  return [state.count_parameters(tree) for tree in trees]


def test_no_config_file_is_left_out():
  files = {path.stem for path in (ROOT / "configs").glob("*.py")}
  tested = {pathlib.Path(module.__file__).stem for module in ARGUMENTS}
  assert files == tested | {"common", "__init__"}
  for module, arguments in ARGUMENTS.items():
    for name, values in arguments.items():
      for text in (name, *values):
        assert text in module.__doc__, "the lab note names every choice"


@pytest.mark.parametrize("module", ARGUMENTS, ids=lambda m: m.__name__)
def test_every_data_set_has_a_config(module):
  found = {name.partition(":")[0] for name in module.DATASETS}
  assert found - set(CLIP_SETS) == set(SETS)
  assert (module is video_vae) == (found > set(SETS))


@each(COMBINATIONS)
def test_every_combination_makes_a_task(module, options):
  config = configuration.parse(load(module, options))
  shape = shape_of(module, options)
  task = config.make_task(shape)  # Calls the task's check.
  counts = parameters(task)
  assert counts and min(counts) > 1000
  assert config.data.name == options["dataset"]
  for value in options.values():
    assert value in config.title


@each([c for c in COMBINATIONS if c[1].get("frames", "4") in ("1", "4")])
def test_completing_twice_and_json_change_nothing(module, options):
  raw = load(module, options)
  full = configuration.complete(raw)
  assert configuration.complete(full) == full
  through_json = json.loads(json.dumps(configuration.to_json(full)))
  shape = shape_of(module, options)
  parsed = configuration.parse(full)
  assert parsed == configuration.parse(through_json)
  short = configuration.parse(raw)
  assert parsed.make_task(shape) == short.make_task(shape)
  assert parsed == dataclasses.replace(short, task_fields=parsed.task_fields)
  assert not configuration.differences(full, through_json)


@pytest.mark.parametrize("encoder", hvae.ENCODERS)
@pytest.mark.parametrize(
  ("network", "published"), [("default", 42_082_049), ("small", 3_704_129)]
)
def test_paper_decoders_have_the_published_numbers_of_parameters(
  encoder, network, published
):
  config = configuration.parse(
    hvae.get_config(
      f"dataset=mnist,preset=paper,encoder={encoder},network={network}"
    )
  )
  task = config.make_task(SHAPES["mnist"])
  params = shapes_of(task.model, SHAPES["mnist"])
  assert state.count_parameters(params) == published


def test_the_small_published_network_belongs_to_the_paper_preset():
  with pytest.raises(errors.UserError, match="network=small belongs to preset"):
    hvae.get_config("network=small,preset=tiny")


def paper(dataset, frames, **changes):
  """The task of the paper preset, some fields of `process` changed."""
  raw = configuration.complete(
    video_diffusion.get_config(
      f"dataset={dataset},frames={frames},preset=paper"
    )
  )
  raw["process"].update(changes)
  return configuration.parse(raw), configuration.parse(raw).make_task(
    SHAPES[dataset]
  )


@pytest.mark.parametrize(
  "dataset, frames, changes, published",
  [
    ("cifar10", 1, {}, 39_625_603),
    ("cifar10", 4, {}, 49_065_987),
    ("cifar10", 8, {}, 49_065_987),
    ("celeb_a", 1, {}, 92_025_731),
    ("celeb_a", 4, {}, 115_985_411),
    ("cifar10", 1, dict(variance="learned", loss="hybrid"), 39_629_062),
    ("celeb_a", 1, dict(variance="learned", loss="hybrid"), 92_029_190),
  ],
)
def test_networks_of_the_paper_have_the_published_number_of_parameters(
  dataset, frames, changes, published
):
  _, task = paper(dataset, frames, **changes)
  assert parameters(task) == [published]


@pytest.mark.parametrize("dataset", ["cifar10", "celeb_a"])
@pytest.mark.parametrize(
  "frames, context, stages, evaluations",
  [(1, None, 1, 1000), (4, 2, 3, 3000), (8, 4, 5, 5000)],
)
def test_the_paper_preset_is_that_of_the_paper(
  dataset, frames, context, stages, evaluations
):
  config, task = paper(dataset, frames)
  assert task.network_evaluations == evaluations
  if frames > 1:
    assert task.frames == frames and task.context == context
    assert len(task.stages) == stages
    assert task.stages[0] == ((), tuple(range(context)))
    assert task.stages[-1][0] == tuple(range(frames - 1 - context, frames - 1))
    assert task.augmentation == augmentations.make(
      "high_order", frames=frames, beta_min=1e-4, beta_max=0.05
    )
    assert task.training_windows == "stages" and not task.fixed_noise
    assert task.model.residual_on_normed
  assert task.process == process.Process(
    schedule="linear",
    steps=1000,
    variance="fixed_large",
    loss="simple",
    timesteps="uniform",
  )
  assert task.sampler == settings.Sampler("ancestral", "", 0.0, True)
  assert (task.model.blocks, len(task.model.multipliers)) == (2, 4)
  assert (task.model.channels, task.model.dropout) == (128, 0.0)
  train, optimizer = config.train, config.optimizer
  assert (train.steps, train.batch_size) == (500_000, 32)
  assert optimizer == optimizers.OptimizerConfig(
    learning_rate=1e-4,
    schedule="constant",
    warmup_steps=0,
    clip_norm=0.0,
    weight_decay=0.0,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    ema_decay=0.9999,
    ema_warmup=False,
  )
  assert config.evaluate.num_samples == 10_000


@pytest.mark.parametrize(
  "dataset, judge", [("cifar10", 7_833_601), ("celeb_a", 14_127_361)]
)
@pytest.mark.parametrize(
  "frames, grid, network",
  [(1, 1, 50_679_448), (8, 4, 50_843_432), (18, 9, 50_843_432)],
)
@pytest.mark.parametrize("recipe", tokenizer.RECIPES)
def test_tokenizers_of_the_paper_have_the_published_sizes(
  dataset, judge, frames, grid, network, recipe
):
  config = configuration.parse(
    tokenizer.get_config(
      f"dataset={dataset},frames={frames},recipe={recipe},preset=paper"
    )
  )
  task = config.make_task(SHAPES[dataset])
  without = recipe == "as_published" and frames == 1
  assert parameters(task) == ([network] if without else [network, judge])
  assert task.adversarial is not without
  made, _ = jax.eval_shape(lambda key: task.init(key, None), jax.random.key(0))
  assert state.count_parameters(made) == sum(parameters(task))
  side = SHAPES[dataset][0] // 4
  assert task.grid_shape == (grid, side, side)
  assert (task.num_codes, task.quantizer.width) == (1024, 512)
  assert task.commitment_weight == 1 and task.gradient_penalty == 10
  healthy = (task.quantizer.decay, task.quantizer.restart_below)
  assert healthy == ((0.99, 2.0) if recipe == "recommended" else (0.8, 0.0))
  assert task.most_adaptive == (10 if recipe == "recommended" else 1e4)
  train, adam = config.train, config.optimizer
  assert (train.steps, train.batch_size) == (100_000, 64)
  for one in (adam, task.discriminator_optimizer):
    assert (one.learning_rate, one.schedule) == (1e-4, "cosine")
    assert (one.b1, one.b2, one.warmup_steps) == (0.9, 0.99, 0)
  assert (adam.clip_norm, task.discriminator_optimizer.clip_norm) == (0.5, 0)


@pytest.mark.parametrize("preset", tokenizer.PRESETS)
def test_tokenizers_of_images_are_as_deep_as_those_of_videos(preset):
  image, video = (
    configuration.parse(
      tokenizer.get_config(f"dataset=cifar10,frames={n},preset={preset}")
    ).make_task(SHAPES["cifar10"])
    for n in (1, 8)
  )
  layers = [
    (t.model.spatial_layers, t.model.temporal_layers) for t in (image, video)
  ]
  assert layers[0] == (sum(layers[1]), 0) and layers[1][1] > 0
  same = dict(spatial_layers=1, temporal_layers=0, frames=1)
  assert image.model.clone(**same) == video.model.clone(**same)
  fields = dict(model=image.model, augmentation=image.augmentation)
  assert dataclasses.replace(video, **fields) == image


def paper_prior(dataset, order, frames):
  """Config and task of the paper preset, over the tokenizer of its own."""
  options = dict(dataset=dataset, order=order, preset="paper")
  parsed = configuration.parse(load(token_prior, options, frames))
  return parsed, parsed.make_task(SHAPES[dataset])


@pytest.mark.parametrize(
  ("dataset", "frames", "tokens", "gpt", "maskgit"),
  [
    ("cifar10", 1, 64, 2_224_608, 20_058_696),
    ("cifar10", 8, 256, 2_224_752, 20_157_000),
    ("cifar10", 18, 576, 2_224_992, 20_320_840),
    ("celeb_a", 1, 256, 2_225_376, 20_157_000),
    ("celeb_a", 8, 1024, 2_225_520, 20_550_216),
    ("celeb_a", 18, 2304, 2_225_760, 21_205_576),
  ],
)
@pytest.mark.parametrize("order", token_prior.ORDERS)
def test_models_of_tokens_of_the_paper_have_the_published_sizes(
  order, dataset, frames, tokens, gpt, maskgit
):
  config, task = paper_prior(dataset, order, frames)
  assert task.num_tokens == tokens
  assert task.network.codes == 1024
  assert parameters(task) == [gpt if order == "next" else maskgit]
  assert task.network_evaluations == (tokens if order == "next" else 18)
  # Attention to 1,024 and more tokens does not fit otherwise.
  assert task.model.remat or tokens < 1024
  train, adam = config.train, config.optimizer
  steps = 100_000 if order == "next" else 200_000
  assert (train.steps, train.batch_size, train.accumulate) == (steps, 64, 1)
  assert (adam.learning_rate, adam.schedule) == (1e-4, "cosine")
  b2 = 0.999 if order == "next" else 0.99
  assert (adam.b1, adam.b2, adam.warmup_steps) == (0.9, b2, 0)
  assert (adam.clip_norm, adam.weight_decay, adam.ema_decay) == (0, 0, 0)
  assert config.evaluate.num_samples == 50_000


def test_models_of_tokens_of_the_paper_are_those_of_its_tables():
  _, task = paper_prior("cifar10", "next", 8)
  net = task.network
  assert (net.width, net.layers, net.heads) == (144, 8, 4)
  assert (net.dropout, net.attention_dropout) == (0.2, 0.3)
  assert (net.embedding, net.code_width) == ("codes", 512)
  assert task.sampler == token_samplers.TokenSampler(1.0, 0, 1.0)
  _, task = paper_prior("cifar10", "masked", 8)
  net = task.network
  assert (net.width, net.layers, net.heads, net.head_width) == (512, 6, 8, 64)
  assert net.offset_bias and net.embedding_gradient == 0.1
  assert task.masking == masked_tokens.Masking("phenaki", 18)
  assert task.sampler == masked.PRESETS["phenaki"]
  assert (task.smoothing, task.critic) == (0.0, "none")


@pytest.mark.parametrize("order", token_prior.ORDERS)
@pytest.mark.parametrize("preset", token_prior.PRESETS)
def test_a_model_of_tokens_takes_any_tokenizer(order, preset):
  """Grid, codes and vectors are those of the tokenizer, and in no config."""
  for frames in tokenizer.FRAMES:
    options = dict(dataset="cifar10", order=order, preset=preset)
    config = load(token_prior, options, frames)
    task = configuration.parse(config).make_task(SHAPES["cifar10"])
    assert task.network.grid == task.coder.grid_shape
    assert task.network.codes == task.coder.num_codes
    assert not {"grid", "codes", "code_width"} & set(config.model)


@pytest.mark.parametrize("dataset", latent_diffusion.DATASETS)
@pytest.mark.parametrize("preset", latent_diffusion.PRESETS)
def test_a_model_of_latents_takes_any_video_vae(dataset, preset):
  """Frames and latents are those of the VAE, and in no config."""
  options = dict(dataset=dataset, preset=preset)
  evaluations = {"tiny": 4, "small": 50, "paper": 1000}[preset]
  for frames, expected in (("1", 1), ("5", 2), ("9", 3), ("17", 5)):
    config = load(latent_diffusion, options, frames)
    task = configuration.parse(config).make_task(SHAPES[dataset])
    assert getattr(task.denoiser, "frames", 1) == expected
    assert task.denoiser.image_shape == task.coder.latent_shape[1:]
    assert task.network_evaluations == evaluations
    assert "augmentation" not in config


@pytest.mark.parametrize("frames", tokenizer.FRAMES)
def test_digits_of_28_pixels_have_no_discriminator(frames):
  raw = tokenizer.get_config(f"dataset=mnist,frames={frames},preset=paper")
  task = configuration.parse(raw).make_task(SHAPES["mnist"])
  assert not task.adversarial and len(parameters(task)) == 1


def vae(options, dataset="cifar10"):
  """The task of a config of a video VAE."""
  raw = video_vae.get_config(f"dataset={dataset},{options}")
  return configuration.parse(raw).make_task(SHAPES[dataset])


@pytest.mark.slow
@pytest.mark.parametrize(
  ("network", "millions"), [("iv_vae", 107.379150), ("motion_motion", 135.70)]
)
def test_the_paper_preset_of_a_video_vae_is_the_published_network(
  network, millions
):
  """Counted in the public code, and there with 3x3x3 kernels in both."""
  task = vae(f"frames=17,network={network},preset=paper")
  assert task.model.rates == (1, 3), "latents of 4x4"
  whole = task.model.clone(rates=(1, 3, 6, 9, 12))
  (shapes,) = _vae_shapes(whole, None)
  count = state.count_parameters(shapes) / 1e6
  assert count == pytest.approx(millions, abs=5e-3)
  assert task.latent_shape == (5, 4, 4, 8)


@pytest.mark.parametrize("preset", video_vae.PRESETS)
@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10", "celeb_a"])
@pytest.mark.parametrize("network", video_vae.NETWORKS[:-1])
def test_an_image_vae_that_a_video_vae_is_inflated_from(
  network, dataset, preset
):
  """That of two branches as it is; of the others as the lab note says."""
  target = vae(f"frames=9,network={network},preset={preset}", dataset)
  source = vae(f"frames=1,network=image,preset={preset}", dataset).model
  channels = target.model.latent_channels
  if network == "image":
    assert target.model == source
    return
  if network in ("causal", "group_causal"):
    source = source.clone(latent_channels=channels)
  if network in ("causal", "group_causal", "key_motion"):
    source = source.clone(attention=("middle",), rates=())
  wanted = initialisation.image_vae(target.model)
  unread = dict(convolution="causal")
  assert wanted.clone(**unread) == source.clone(**unread)
  assert channels == (4 if preset == "tiny" else 8)
  assert target.group == 4


@pytest.mark.parametrize("preset", video_vae.PRESETS)
@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
@pytest.mark.parametrize("frames", [*video_vae.FRAMES, *video_vae.TAE_FRAMES])
def test_a_tae_has_any_length_and_its_latents_are_learned(
  frames, dataset, preset
):
  options = f"frames={frames},network=tae,preset={preset}"
  target = vae(options, dataset)
  paper = preset == "paper"
  by_eight = paper and dataset == "cifar10"
  num = -(-int(frames) // (8 if by_eight else 4))
  side = SHAPES[dataset][0] // (8 if by_eight else 4)
  channels = {"tiny": 4, "small": 8, "paper": 16}[preset]
  assert target.latent_shape == (num, side, side, channels)
  source = vae(f"frames=1,network=image,preset={preset}", dataset).model
  fields = dict(latent_channels=channels, attention=("middle",), rates=())
  fields |= dict(base=128) if paper else {}
  wanted = tae.image_vae(target.model)
  unread = dict(convolution="causal")
  assert wanted.clone(**unread) == source.clone(**fields, **unread)
  config = latent_diffusion.get_config(f"dataset={dataset},preset={preset}")
  config.autoencoder.hash = "0" * 64
  config.autoencoder.config = configuration.to_json(
    video_vae.get_config(f"dataset={dataset},{options}")
  )
  task = configuration.parse(config).make_task(SHAPES[dataset])
  assert getattr(task.denoiser, "frames", 1) == num


def test_other_video_vaes_have_no_such_length():
  for frames in video_vae.TAE_FRAMES:
    said = f"frames={frames} needs network=tae; .* one of 5, 9, 17, 1"
    with pytest.raises(errors.UserError, match=said):
      video_vae.get_config(f"frames={frames}")


@pytest.mark.parametrize("preset", video_diffusion.PRESETS)
@pytest.mark.parametrize("dataset", video_diffusion.DATASETS)
def test_videos_and_images_have_the_same_training(dataset, preset):
  """The 1-frame baseline differs by its task and nothing else."""
  image, video = (
    configuration.complete(
      video_diffusion.get_config(
        f"dataset={dataset},frames={frames},preset={preset}"
      )
    )
    for frames in (1, 4)
  )
  del video["model"]["residual_on_normed"]
  for section in set(image) - {"title", "task"}:
    assert image[section] == video[section], section
  assert set(video) - set(image) == {"augmentation"}


@pytest.mark.parametrize("preset", video_vae.PRESETS)
@pytest.mark.parametrize("network", video_vae.NETWORKS)
@pytest.mark.parametrize("frames", video_vae.FRAMES)
def test_a_video_vae_of_clips(frames, network, preset):
  name = "videos:some/where?size=64&interval=2"
  options = f"frames={frames},network={network},preset={preset}"
  raw = video_vae.get_config(f"dataset={name},{options}")
  assert raw.data.name == f"{name}&frames={frames}"
  task = configuration.parse(raw).make_task((64, 64, 3))
  assert task.augmentation.frames == int(frames)
  assert task.order == "forward" and task.image_share == 0.25 * (frames != "1")
  same = f"dataset=celeb_a,frames={frames},network={network},preset={preset}"
  assert raw.model == video_vae.get_config(same).model


@pytest.mark.parametrize(
  ("module", "options"),
  [
    (hvae, {"encoder": "heat"}),
    (hvae, {"encoder": "learned"}),
    (video_diffusion, {"frames": "1"}),
    (video_diffusion, {"frames": "4"}),
    (tokenizer, {"frames": "1"}),
    (tokenizer, {"frames": "8"}),
    (token_prior, {"order": token_prior.ORDERS[0]}),
    (token_prior, {"order": token_prior.ORDERS[1]}),
    (latent_diffusion, {}),
  ],
)
def test_all_others_refuse_clips(module, options):
  raw = load(module, dict(dataset="digits", preset="tiny") | options)
  raw.data.name = "videos:some/where?size=8&frames=5"
  said = r"holds clips of videos, and the task \w+ learns from images"
  with pytest.raises(errors.UserError, match=said):
    configuration.parse(raw)


@pytest.mark.parametrize(
  ("dataset", "section", "fields", "said"),
  [
    ("videos:w?size=64", "augmentation", dict(name="blur"), "no augmentation"),
    ("videos:w?size=64", "augmentation", dict(frames=5), "have 9 frames; got"),
    ("digits", "augmentation", dict(name="identity"), "have 1 frame; got"),
    ("videos:w?size=64", "task", dict(order="reversed"), "last frame back to"),
  ],
)
def test_clips_are_as_they_are(dataset, section, fields, said):
  raw = video_vae.get_config(f"dataset={dataset},frames=9")
  raw[section].update(fields)
  if dataset == "digits":
    del raw.augmentation.rate
  with pytest.raises(errors.UserError, match=said):
    configuration.parse(raw).make_task((64, 64, 3))


@pytest.mark.parametrize("query", ["", "?size=16&frames=5", "?interval=2"])
def test_clips_need_a_side_and_one_number_of_frames(query):
  with pytest.raises(errors.UserError, match=r"lacks .* the size|each once"):
    video_vae.get_config(f"dataset=videos:some/where{query},frames=9")


def test_the_first_choices_of_the_videos_are_the_defaults():
  chosen = video_diffusion.get_config(
    "dataset=digits,frames=4,augmentation=high_order,preset=small"
  )
  assert video_diffusion.get_config() == chosen


@pytest.mark.parametrize("augmentation", video_diffusion.AUGMENTATIONS)
def test_one_frame_has_no_augmentation(augmentation):
  with pytest.raises(errors.UserError) as caught:
    video_diffusion.get_config(f"frames=1,augmentation={augmentation}")
  said = str(caught.value)
  assert f"frames=1 and augmentation={augmentation}" in said


@pytest.mark.parametrize("preset", hvae.PRESETS)
@pytest.mark.parametrize("dataset", hvae.DATASETS)
def test_both_encoders_have_the_same_decoder(dataset, preset):
  heat, learned = (
    configuration.parse(
      hvae.get_config(f"dataset={dataset},encoder={encoder},preset={preset}")
    ).make_task(shape_of(hvae, {"dataset": dataset}))
    for encoder in hvae.ENCODERS
  )
  assert heat.model == learned.model
  assert heat.levels == learned.levels


def test_the_first_choices_are_the_defaults():
  chosen = hvae.get_config("dataset=digits,encoder=heat,preset=small")
  assert hvae.get_config("") == hvae.get_config() == chosen


def test_a_folder_reaches_the_data_section():
  config = hvae.get_config("dataset=folder:some/where?size=32,preset=tiny")
  assert config.data.name == "folder:some/where?size=32"


@pytest.mark.parametrize(
  ("argument", "allowed"),
  [
    ("preset=tny", "paper, small, tiny"),
    ("encoder=", "heat, learned"),
    ("dataset=folder:", "celeb_a, cifar10, digits, folder:PATH, mnist"),
    ("datset=digits", "dataset, encoder, network, preset"),
    ("digits", "dataset, encoder, network, preset"),
  ],
)
def test_bad_arguments_list_the_choices(argument, allowed):
  with pytest.raises(errors.UserError, match=f"Choose one of: {allowed}"):
    hvae.get_config(argument)


def test_arguments_may_come_in_any_order_and_the_last_one_wins():
  parsed = common.parse_argument(
    "b=2,a=y,b=1", a=("x", "y"), b=("0", "1", "2"), c=("only",)
  )
  assert parsed == {"a": "y", "b": "1", "c": "only"}
