"""Presets `paper`: published numbers of parameters, and how they are trained.

What the paper's Tables 7 to 10 say is in `test_paper_tables`.
"""

import dataclasses
import itertools

import pytest

from configs import hvae, token_prior, tokenizer, video_diffusion, video_vae
from pseudovideo import augmentations, optimizers
from pseudovideo.config import parsing
from pseudovideo.diffusion import process
from pseudovideo.losses import masked_tokens
from pseudovideo.samplers import masked, settings
from pseudovideo.samplers import tokens as token_samplers
from tests.configs import config_files as files
from tests.shapes import SHAPES


def paper(module, **options):
  """Config and task; frames of a first stage are `stage_frames`."""
  frames = options.pop("stage_frames", None)
  options = options | {"preset": "paper"}
  parsed = parsing.parse(files.load(module, options, frames))
  return parsed, parsed.make_task(SHAPES[options["dataset"]])


@pytest.mark.parametrize(
  ("network", "published"), [("default", 42_082_049), ("small", 3_704_129)]
)
def test_decoders_of_an_hvae(network, published):
  """With a learned encoder too: `test_both_encoders_have_the_same_decoder`."""
  _, task = paper(hvae, dataset="mnist", encoder="heat", network=network)
  assert files.parameters(task) == {"network": published}


@pytest.mark.parametrize(
  ("dataset", "frames", "changes", "published"),
  [
    ("cifar10", "1", {}, 39_625_603),
    ("cifar10", "4", {}, 49_065_987),
    ("celeb_a", "1", {}, 92_025_731),
    ("celeb_a", "4", {}, 115_985_411),
    ("cifar10", "1", dict(variance="learned", loss="hybrid"), 39_629_062),
    ("celeb_a", "1", dict(variance="learned", loss="hybrid"), 92_029_190),
  ],
)
def test_networks_of_diffusion(dataset, frames, changes, published):
  _, task = paper(video_diffusion, dataset=dataset, frames=frames)
  changed = dataclasses.replace(task.process, **changes)
  task = dataclasses.replace(task, process=changed)
  assert files.parameters(task) == {"network": published}


@pytest.mark.parametrize(
  ("frames", "context", "stages", "evaluations"),
  [(1, None, 1, 1000), (4, 2, 3, 3000), (8, 4, 5, 5000)],
)
def test_diffusion_is_trained_as_in_the_paper(
  frames, context, stages, evaluations
):
  for dataset in ("cifar10", "celeb_a"):
    config, task = paper(video_diffusion, dataset=dataset, frames=str(frames))
    assert task.network_evaluations == evaluations
    if frames > 1:
      assert task.frames == frames and task.context == context
      assert len(task.stages) == stages
      assert task.stages[0] == ((), tuple(range(context)))
      last = tuple(range(frames - 1 - context, frames - 1))
      assert task.stages[-1][0] == last
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
    assert task.model.dropout == 0.0
    assert config.optimizer == optimizers.OptimizerConfig(
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


NETWORKS = {"1": 50_679_448, "8": 50_843_432, "18": 50_843_432}
JUDGES = {"cifar10": 7_833_601, "celeb_a": 14_127_361}
TOKENIZERS = tuple(
  files.covering(
    dict(dataset=dataset, frames=frames, recipe=recipe)
    for dataset, frames, recipe in itertools.product(
      JUDGES, NETWORKS, tokenizer.RECIPES
    )
  )
)


@pytest.mark.parametrize(
  "options", TOKENIZERS, ids=lambda options: ",".join(options.values())
)
def test_tokenizers(options):
  dataset, frames, recipe = options.values()
  config, task = paper(tokenizer, **options)
  without = recipe == "as_published" and frames == "1"
  assert task.adversarial is not without
  sizes = {"network": NETWORKS[frames], "discriminator": JUDGES[dataset]}
  if without:
    del sizes["discriminator"]
  assert files.parameters(task) == sizes
  side = SHAPES[dataset][0] // 4
  grid = {"1": 1, "8": 4, "18": 9}[frames]
  assert task.grid_shape == (grid, side, side)
  assert (task.num_codes, task.quantizer.width) == (1024, 512)
  assert task.commitment_weight == 1 and task.gradient_penalty == 10
  healthy = (task.quantizer.decay, task.quantizer.restart_below)
  assert healthy == ((0.99, 2.0) if recipe == "recommended" else (0.8, 0.0))
  assert task.most_adaptive == (10 if recipe == "recommended" else 1e4)
  adam = config.optimizer
  for one in (adam, task.discriminator_optimizer):
    assert (one.learning_rate, one.schedule) == (1e-4, "cosine")
    assert (one.b1, one.b2, one.warmup_steps) == (0.9, 0.99, 0)
  assert (adam.clip_norm, task.discriminator_optimizer.clip_norm) == (0.5, 0)


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
def test_models_of_tokens(order, dataset, frames, tokens, gpt, maskgit):
  config, task = paper(
    token_prior, dataset=dataset, order=order, stage_frames=frames
  )
  assert task.num_tokens == tokens
  assert task.network.codes == 1024
  published = gpt if order == "next" else maskgit
  assert files.parameters(task) == {"network": published}
  assert task.network_evaluations == (tokens if order == "next" else 18)
  # Attention to 1,024 and more tokens does not fit otherwise.
  assert task.model.remat or tokens < 1024
  adam = config.optimizer
  assert config.train.accumulate == 1
  b2 = 0.999 if order == "next" else 0.99
  assert (adam.b1, adam.b2, adam.warmup_steps) == (0.9, b2, 0)
  assert (adam.clip_norm, adam.weight_decay, adam.ema_decay) == (0, 0, 0)
  assert config.evaluate.num_samples == 50_000


def test_models_of_tokens_have_the_details_of_the_published_code():
  _, task = paper(token_prior, dataset="cifar10", order="next", stage_frames=8)
  net = task.network
  assert (net.dropout, net.attention_dropout) == (0.2, 0.3)
  assert (net.embedding, net.code_width) == ("codes", 512)
  assert task.sampler == token_samplers.TokenSampler(1.0, 0, 1.0)
  _, task = paper(
    token_prior, dataset="cifar10", order="masked", stage_frames=8
  )
  net = task.network
  assert net.head_width == 64
  assert net.offset_bias and net.embedding_gradient == 0.1
  assert task.masking == masked_tokens.Masking("phenaki", 18)
  assert task.sampler == masked.PRESETS["phenaki"]
  assert (task.smoothing, task.critic) == (0.0, "none")


@pytest.mark.parametrize(
  ("network", "millions"), [("iv_vae", 107.379150), ("motion_motion", 135.70)]
)
def test_video_vaes(network, millions):
  """Counted in the public code, and there with 3x3x3 kernels in both."""
  _, task = paper(video_vae, dataset="cifar10", frames="17", network=network)
  assert task.model.rates == (1, 3), "latents of 4x4"
  assert task.latent_shape == (5, 4, 4, 8)
  whole = task.model.clone(rates=(1, 3, 6, 9, 12))
  task = dataclasses.replace(task, model=whole)
  count = files.parameters(task)["network"] / 1e6
  assert count == pytest.approx(millions, abs=5e-3)
