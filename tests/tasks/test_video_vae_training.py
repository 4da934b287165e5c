"""Training video VAEs: image VAEs to begin with, checkpoints, evaluation."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from pseudovideo import (
  checkpoints,
  data,
  errors,
  evaluate,
  first_stages,
  optimizers,
  runs,
  sharding,
  state,
  steps,
  train,
)
from pseudovideo.tasks import base, first_stage
from tests.tasks import small_tokenizers
from tests.tasks import small_vaes as small

PARTS = ("step", "params", "ema", "opt_state", "extra")
NUM = 6


def frame_by_frame(task, params, video):
  """Every frame as a video of its own, through the network and back."""
  num, frames = video.shape[:2]
  alone = video.reshape(num * frames, 1, *video.shape[2:])
  means, _ = task.posterior(params, alone)
  made = task.decode(params, means, 1)
  split = (num, frames)
  return [x.reshape(*split, *x.shape[2:]) for x in (means, made)]


@pytest.fixture(scope="module")
def run(tiny_vae_run):
  return runs.restore(tiny_vae_run)


def test_a_video_vae_begins_as_the_image_vae(run, tiny_image_vae_run):
  """Groups of two frames: each branch has one of them."""
  image = runs.restore(tiny_image_vae_run)
  task = run.task
  params, _ = task.init(jax.random.key(9), run.image_set)
  video = jax.jit(lambda x, key: task.pseudo_video({}, {}, x, key=key))(
    small_tokenizers.images(NUM), jax.random.key(0)
  )
  means, _ = jax.jit(task.posterior)(params, video)
  made = jax.jit(task.decode, static_argnums=2)(params, means, 5)
  latents, expected = jax.jit(frame_by_frame, static_argnums=0)(
    image.task, image.params, video
  )
  # Pixels may differ by that much between programs; frames differ by more.
  np.testing.assert_allclose(made, expected, atol=1e-4)
  assert np.abs(np.diff(expected, axis=1)).max((0, 2, 3, 4)).min() > 1e-3
  # Encoded are the frames 4; 3, 2; 1, 0 of the pseudo video.
  pairs = [(4, 4), (3, 2), (1, 0)]
  of_pairs = [np.concatenate([latents[:, t] for t in p], -1) for p in pairs]
  np.testing.assert_allclose(means, np.stack(of_pairs, 1), atol=1e-4)
  trained = jax.tree.map(
    lambda a, b: float(np.abs(a - b).max()),
    run.params["network"],
    params["network"],
  )
  assert max(jax.tree.leaves(trained)) > 1e-4


def test_what_cannot_be_begun_with_is_refused(
  run, tiny_vae_run, tiny_image_vae_run, tmp_path
):
  def begin(**fields):
    dataclasses.replace(run.task, **fields).init(jax.random.key(0), None)

  with pytest.raises(errors.UserError, match="holds one of video_vae with mod"):
    begin(start=str(tiny_vae_run))
  with pytest.raises(errors.UserError, match=r"must have the shape \(.*train"):
    begin(model=run.task.model.clone(base=6))
  with pytest.raises(errors.UserError, match="no checkpoint"):
    begin(start=str(tmp_path))


def test_a_run_goes_on_without_the_image_vae(run, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(run.workdir, workdir)
  step, whole, raw = checkpoints.load(workdir, parts=PARTS)
  shutil.rmtree(workdir / checkpoints.FOLDER / str(step))
  assert checkpoints.load(workdir)[0] == 3
  raw["task"]["start"] = "random"
  assert train.train(raw, workdir).step == step
  _, again, _ = checkpoints.load(workdir, parts=PARTS)
  jax.tree.map(np.testing.assert_array_equal, again, whole)


def test_an_evaluation_looks_at_whole_videos(run, tmp_path):
  shutil.copytree(run.workdir, tmp_path / "run")
  config = dataclasses.replace(
    run.config,
    evaluate=dataclasses.replace(run.config.evaluate, metrics="FD"),
  )
  moved = dataclasses.replace(run, workdir=tmp_path / "run", config=config)
  record = evaluate.evaluate(moved, num_samples=NUM)
  found = record["reconstruction"]
  assert set(found) == {"metrics", "videos"}
  videos = found["videos"]
  assert videos["num_videos"] == NUM
  # The clean image is the last frame, and the images were scored by themselves.
  alone = found["metrics"]["PSNR"]["value"]
  assert videos["psnr_by_frame"][-1] == pytest.approx(alone, abs=0.05)
  assert len(videos["psnr_by_frame"]) == 5
  text = (tmp_path / "run" / "report.html").read_text()
  assert "psnr by frame" in text and "Reconstructions" in text


def test_it_is_no_tokenizer(run):
  with pytest.raises(errors.UserError, match="this is a run of video_vae"):
    first_stages.check(run.raw, first_stage.TOKENIZER)


@pytest.mark.slow
def test_four_devices_train_as_one():
  """Both players; the single images of the batch lie on two of the devices."""
  adam = optimizers.OptimizerConfig(learning_rate=1e-2, eps=0.1, ema_decay=0.5)
  tx = optimizers.for_players(
    adam, 9, base.discriminator_optimizer(small.CLIPS)
  )
  params, extra = small.CLIPS.init(jax.random.key(0), data.load("digits"))
  ended = []
  for devices in (1, 4):
    mesh = sharding.make_mesh(jax.devices()[:devices])
    whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
    step = jax.jit(
      steps.make_step(small.CLIPS, tx, ema_decay=0.5),
      in_shardings=(whole, cut, whole),
      out_shardings=whole,
    )
    now = jax.device_put(state.create(params, extra, tx), whole)
    for i in range(3):
      images = small_tokenizers.images(8, start=8 * i)
      batch = sharding.put_batch({"image": images}, mesh)
      now, _ = step(now, batch, jax.random.key(1))
    ended.append(jax.device_get(now.params))
  one, four = ended
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(b, a, atol=1e-4), one, four
  )
  change = jax.tree.map(lambda a, b: np.abs(a - b).max(), one, params)
  assert max(jax.tree.leaves(change)) > 1e-2
