"""What holds for the image and the video task alike."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import video_diffusion
from pseudovideo import data
from pseudovideo.config import parsing
from pseudovideo.devices import sharding
from pseudovideo.diffusion import process as processes
from pseudovideo.runs import checkpoints, metric_log
from pseudovideo.tasks import diffusion
from pseudovideo.training import loop, state, steps

FRAMES = {"image": 1, "video": 4}
LEARNED = processes.Process(steps=40, variance="learned", loss="hybrid")


def tiny(frames):
  return parsing.complete(
    video_diffusion.get_config(f"frames={frames},preset=tiny")
  )


@pytest.fixture(params=FRAMES)
def task(request):
  raw = tiny(FRAMES[request.param])
  return parsing.parse(raw).make_task((8, 8, 1))


@pytest.fixture(scope="module")
def images():
  return np.asarray(data.load("digits").train_images[:8])


def test_the_variance_is_trained_by_the_bound_and_the_mean_by_the_error(
  task, images, key
):
  # With a network that compiles sooner; its middle attends.
  small = task.model.clone(multipliers=(1,), attention=())
  task = dataclasses.replace(task, model=small, process=LEARNED)
  task.check()
  params, extra = task.init(key, None)
  assert params["head"]["kernel"].shape[-1] == 2
  head = jax.tree.map(lambda p: p + 0.1, params["head"])  # Not zero any more.

  @jax.jit
  def gradients(head, coefficients):
    def loss(head):
      terms, _ = task.loss(
        params | {"head": head},
        extra,
        {"image": images},
        key=key,
        step=0,
        train=True,
      )
      assert terms["mse"].coefficient == 1.0
      assert terms["bound"].coefficient == 40 / 1000
      return sum(
        c * jnp.mean(terms[name].value) for name, c in coefficients.items()
      )

    return jax.grad(loss)(head)

  for name, (trained, left) in {"mse": (0, 1), "bound": (1, 0)}.items():
    only = {n: jnp.float32(n == name) for n in ("mse", "bound")}
    for gradient in jax.device_get(gradients(head, only)).values():
      assert np.abs(gradient[..., trained]).max() > 1e-4
      assert not gradient[..., left].any()


def test_devices_and_micro_batches_do_not_change_the_losses(images, key):
  """Of a video task whose network is one number."""
  raw = tiny(4)
  raw["process"]["timesteps"] = "loss_second_moment"
  task = parsing.parse(raw).make_task((8, 8, 1))

  class Linear(type(task)):
    def _predict(self, params, x, time, window, dropout_key=None):
      mean = jnp.mean(window.x0, axis=1, keepdims=True)
      level = time[:, None, None, None, None]
      return params["w"] * (x + mean) + level / 10**4, None

  task, tx = Linear(**vars(task)), optax.adam(1e-2)
  extra = diffusion.initial_extra(task.process)
  start = state.create({"w": jnp.float32(0.5)}, extra, tx)

  def run(devices, accumulate=1, count=3):
    mesh = sharding.make_mesh(jax.devices()[:devices])
    whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
    step = jax.jit(
      steps.make_step(task, tx, ema_decay=0.9, accumulate=accumulate),
      in_shardings=(whole, cut, whole),
      out_shardings=whole,
    )
    now, losses = jax.device_put(start, whole), []
    for _ in range(count):
      batch = sharding.put_batch({"image": images}, mesh)
      now, metrics = step(now, batch, key)
      losses.append(float(metrics["loss"][0]))
    return jax.device_get(now), losses

  one, (now, losses) = run(1), run(2, accumulate=4)
  np.testing.assert_allclose(losses, one[1], rtol=1e-5)
  np.testing.assert_allclose(now.params["w"], one[0].params["w"], rtol=1e-5)
  ours, theirs = (
    now.extra["state"]["timesteps"],
    one[0].extra["state"]["timesteps"],
  )
  assert ours["counts"].sum() == 3 * len(images)
  np.testing.assert_array_equal(ours["counts"], theirs["counts"])
  # Micro-batches come in another order.
  np.testing.assert_allclose(
    np.sort(ours["losses"]), np.sort(theirs["losses"]), rtol=1e-5
  )


def test_remembered_losses_travel_in_the_checkpoint(tiny_video_run, tmp_path):
  """Stopped and resumed is the same as not stopped, losses included."""
  workdir = tmp_path / "run"
  shutil.copytree(tiny_video_run, workdir)
  shutil.rmtree(workdir / checkpoints.FOLDER / "6")
  step, half, raw = checkpoints.load(workdir, parts=("extra",))
  assert (
    step == 3 and half["extra"]["state"]["timesteps"]["counts"].sum() == 3 * 8
  )
  assert half["extra"]["state"]["timesteps"]["losses"].max() > 0
  raw["train"]["eval_every"] = 0
  assert loop.train(raw, workdir).step == 6
  whole, resumed = (
    checkpoints.load(folder, parts=("params", "ema", "extra"))[1]
    for folder in (tiny_video_run, workdir)
  )
  assert whole["extra"]["state"]["timesteps"]["counts"].sum() == 6 * 8
  for a, b in zip(
    jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True
  ):
    np.testing.assert_array_equal(a, b)
  logged = [
    [row["loss"] for row in metric_log.read_metrics(folder)
     if row["split"] == "train"]
    for folder in (tiny_video_run, workdir)
  ]  # fmt: skip
  assert len(logged[0]) == 3 and logged[0][-1] == logged[1][-1]
