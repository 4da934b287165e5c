"""Training tokenizers: devices, checkpoints; ids and back; mistakes."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import tokenizer
from pseudovideo import data, errors, keys, optimizers, runs
from pseudovideo.config import parsing
from pseudovideo.devices import sharding
from pseudovideo.evaluation import evaluate
from pseudovideo.models.quantizers import vq
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import base
from pseudovideo.training import loop, state, steps
from tests.tasks import small_tokenizers as small

# Adam makes steps of equal size out of gradients of any size, and so of
# rounding errors; with a large eps it does not, and runs can be compared.
ADAM = optimizers.OptimizerConfig(learning_rate=1e-2, eps=0.1, ema_decay=0.5)
PARTS = ("step", "params", "ema", "opt_state", "extra")


def three_updates(task, *, devices, accumulate=1, num=8):
  """State and losses of three updates; the batch is cut over the devices."""
  tx = optimizers.for_players(ADAM, 9, base.discriminator_optimizer(task))
  params, extra = task.init(jax.random.key(0), data.load("digits"))
  mesh = sharding.make_mesh(jax.devices()[:devices])
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  step = jax.jit(
    steps.make_step(task, tx, ema_decay=0.5, accumulate=accumulate),
    in_shardings=(whole, cut, whole),
    out_shardings=whole,
  )
  now = jax.device_put(state.create(small.moved(params), extra, tx), whole)
  losses = []
  for i in range(3):
    images = small.images(num, start=num * i)
    batch = sharding.put_batch({"image": images}, mesh)
    now, metrics = step(now, batch, jax.random.key(1))
    losses.append(float(metrics["loss"][0]))
  return jax.device_get(now), losses


@pytest.mark.slow("compiles an update for one device and for four")
def test_four_devices_train_as_one():
  """Both players, the adaptive weight, restarts of the codebook and all."""
  task = small.changed(
    small.IMAGE,
    judged_frame="random",
    binarize="bernoulli",
    adversarial_from=1,
    quantizer=vq.Cosine(codes=16, width=16, decay=0.5, restart_below=0.9),
  )
  (one, losses), (four, others) = (
    three_updates(task, devices=n) for n in (1, 4)
  )
  np.testing.assert_allclose(others, losses, rtol=1e-4)
  for a, b in zip(
    jax.tree.leaves(one.params) + jax.tree.leaves(one.extra),
    jax.tree.leaves(four.params) + jax.tree.leaves(four.extra),
    strict=True,
  ):
    np.testing.assert_allclose(b, a, atol=1e-4)


@pytest.mark.parametrize("kind", [vq.Cosine, vq.Euclidean])
def test_accumulated_batches_update_the_codebook_one_by_one(kind):
  """Counts start at 1 and have a closed form: c <- d c + (1 - d) n."""
  decay, num, codes = 0.8, 16, 16
  task = small.changed(
    small.PLAIN,
    quantizer=kind(codes, width=16, decay=decay, restart_below=0.0),
  )
  now, losses = three_updates(task, devices=2, accumulate=2, num=num)
  assert np.isfinite(losses).all()
  tokens = num / 2 * np.prod(task.grid_shape)
  kept = decay ** (3 * 2)
  np.testing.assert_allclose(
    now.extra["state"]["quantizer"]["counts"].sum(),
    kept * codes + (1 - kept) * tokens,
    rtol=1e-5,
  )


@pytest.mark.slow("trains until codes move")
def test_look_up_free_codes_are_learned_by_the_optimizer():
  """Codes of this quantizer are parameters, and nothing else moves them."""
  task = small.changed(small.LOOKUP_FREE, adversarial=False)
  fresh = small.moved(task.init(jax.random.key(0), data.load("digits"))[0])
  now, _ = three_updates(task, devices=1)
  pairs = [jax.tree.leaves(p["quantizer"]) for p in (fresh, now.params)]
  assert len(pairs[0]) > 0
  for a, b in zip(*pairs, strict=True):
    assert np.abs(a - b).max() > 1e-6


@pytest.mark.slow("trains in two parts")
def test_a_look_up_free_run_goes_on_from_its_checkpoint(tmp_path):
  """Codes are in its parameters, their averages and the optimizer."""
  raw = parsing.complete(tokenizer.get_config("preset=tiny"))
  raw["task"]["adversarial"] = False
  raw["model"].update(spatial_layers=1, temporal_layers=0)
  raw["quantizer"] = {"name": "lookup_free", "codes": 16, "width": 16}
  raw["optimizer"] |= dict(warmup_steps=0, eps=0.1)
  raw["train"] |= dict(steps=2, save_every=1, eval_every=0)
  loop.train(raw, tmp_path)
  _, whole, _ = checkpoints.load(tmp_path, parts=PARTS)
  shutil.rmtree(tmp_path / checkpoints.FOLDER / "2")
  _, before, _ = checkpoints.load(tmp_path, parts=PARTS)
  assert before["step"] == 1
  assert loop.train(raw, tmp_path).step == 2
  _, again, _ = checkpoints.load(tmp_path, parts=PARTS)
  jax.tree.map(np.testing.assert_array_equal, again, whole)
  for part in ("params", "ema"):
    pair = [jax.tree.leaves(s[part]["quantizer"]) for s in (before, whole)]
    assert len(pair[0]) > 0
    for a, b in zip(*pair, strict=True):
      assert np.abs(a - b).max() > 0
  assert evaluate.draw(runs.restore(tmp_path), 2).images.shape == (2, 8, 8, 1)


@pytest.mark.slow("trains in two parts")
def test_a_run_with_a_discriminator_goes_on_from_its_checkpoint(
  tiny_tokenizer_run, tmp_path
):
  workdir = tmp_path / "run"
  shutil.copytree(tiny_tokenizer_run, workdir)
  step, whole, raw = checkpoints.load(workdir, parts=PARTS)
  shutil.rmtree(workdir / checkpoints.FOLDER / str(step))
  assert checkpoints.load(workdir)[0] == 3
  assert loop.train(raw, workdir).step == step
  _, again, _ = checkpoints.load(workdir, parts=PARTS)
  jax.tree.map(np.testing.assert_array_equal, again, whole)


CODING = small.changed(small.FIRST_FRAME, binarize="bernoulli")


@pytest.fixture(scope="module")
def coder():
  """Parameters, extra, and compiled `encode`, `decode` and `reconstruct`."""
  params, extra = CODING.init(jax.random.key(0), data.load("digits"))
  params = small.moved(params, 0.2)
  encode, decode, reconstruct = (
    jax.jit(f) for f in (CODING.encode, CODING.decode, CODING.reconstruct)
  )
  return (
    lambda images, key: np.asarray(encode(params, extra, images, key=key)),
    lambda ids: np.asarray(decode(params, extra, ids)),
    lambda images, key: np.asarray(reconstruct(params, extra, images, key=key)),
  )


def test_ids_give_the_reconstruction_back(coder, key):
  encode, decode, reconstruct = coder
  images = small.images(6)
  ids = encode(images, key)
  assert ids.shape == (6, *CODING.grid_shape) == (6, 3, 2, 2)
  assert ids.dtype == np.int32 and 0 <= ids.min() < ids.max() < 16
  video = decode(ids)
  assert video.shape == (6, 5, 8, 8, 1)
  assert video.min() < -0.1 or video.max() > 1.1, "so that clipping shows"
  np.testing.assert_allclose(
    reconstruct(images, key), np.clip(video, 0, 1), atol=1e-5
  )


def test_ids_belong_to_an_image_and_its_key(coder, key):
  """Pixels are drawn; each of them depends on nothing else in the batch."""
  encode, decode, _ = coder
  images, rows = small.images(6), keys.example_keys(key, 6)
  ids = encode(images, rows)
  np.testing.assert_array_equal(encode(images, key), ids)
  for i in range(6):
    alone = encode(images[i : i + 1], rows[i : i + 1])
    np.testing.assert_array_equal(alone[0], ids[i])
  np.testing.assert_allclose(decode(ids[2:3])[0], decode(ids)[2], atol=1e-5)
  assert np.any(encode(images, keys.example_keys(jax.random.key(5), 6)) != ids)


def test_vectors_of_look_up_free_ids_are_their_signs():
  params, extra = small.LOOKUP_FREE.init(jax.random.key(0), None)
  ids = jnp.arange(16).reshape(4, 1, 2, 2)
  vectors = small.LOOKUP_FREE.vectors(params, extra, ids)
  kernel, bias = (
    np.float64(params["quantizer"]["project_out"][name])
    for name in ("kernel", "bias")
  )
  for code in range(16):
    signs = [1 if code >> place & 1 else -1 for place in (3, 2, 1, 0)]
    np.testing.assert_allclose(
      np.asarray(vectors).reshape(16, 16)[code], signs @ kernel + bias,
      rtol=1e-4, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    (
      dict(model=small.NET.clone(frames=6)),
      "model.frames is 6",
    ),
    (
      dict(quantizer=vq.Cosine(codes=16, width=8)),
      "got 8 and 16",
    ),
    (
      dict(
        augmentation=small.FIRST_FRAME.augmentation,
        model=small.NET.clone(frames=5),
      ),
      "got 5 frames",
    ),
    (dict(image_shape=(28, 28, 1)), "8, 16, 32, 64"),
    (dict(image_shape=(8, 8, 3)), "model.channels"),
  ],
)
def test_impossible_fields_are_refused(fields, words):
  small.VIDEO.check()
  with pytest.raises(errors.UserError) as caught:
    small.changed(**fields).check()
  assert words in str(caught.value) and str(caught.value).endswith(".")


def test_without_a_discriminator_its_fields_do_not_matter():
  small.changed(
    small.PLAIN, image_shape=(28, 28, 1), model=small.PLAIN.model
  ).check()
