"""Evaluating an autoencoder: held-out images and what became of them."""

import dataclasses
import html
import shutil
import types

import jax
import numpy as np
import pytest
import scipy.stats
import skimage.metrics

from pseudovideo import data, errors, keys, runs
from pseudovideo.devices import sharding
from pseudovideo.evaluation import evaluate, reconstruction, sampling
from pseudovideo.runs import results, sample_files

NUM = 10


@pytest.fixture(scope="module")
def run(tiny_tokenizer_run, tmp_path_factory):
  """A run whose folder may be written to."""
  workdir = tmp_path_factory.mktemp("reconstruction") / "run"
  shutil.copytree(tiny_tokenizer_run, workdir)
  restored = runs.restore(workdir)
  chosen = dataclasses.replace(restored.config.evaluate, metrics="FD")
  config = dataclasses.replace(restored.config, evaluate=chosen)
  return dataclasses.replace(restored, config=config)


@pytest.fixture(scope="module")
def scored(run):
  """Record and report of an evaluation, and the images that it drew."""
  record = evaluate.evaluate(run, num_samples=NUM)
  return (
    record,
    (run.workdir / "report.html").read_text(),
    sample_files.load(run.workdir / sample_files.NAME),
  )


def held_out(num):
  images = data.load("digits").test_images
  return images[np.linspace(0, len(images) - 1, num).astype(int)]


def draw(run, images, *, batch_size, devices):
  mesh = sharding.make_mesh(jax.devices()[:devices])
  return sampling.generate_images(
    run.params,
    run.extra,
    key=jax.random.key(3),
    num=len(images),
    batch_size=batch_size,
    sampler=sampling.make_sampler(run.task, mesh),
    images=images,
  )


def test_reconstruction_i_is_of_image_i(run):
  """Whatever the batch and the devices; up to one grey level of rounding."""
  images = held_out(NUM)
  video = jax.jit(run.task.reconstruct)(
    run.params, run.extra, images, key=jax.random.key(3)
  )
  expected = np.rint(255 * np.asarray(video)).astype(int)
  assert expected[:, -1].std() > 5
  for batch_size, devices in [(3, 4), (4, 1)]:
    frames, videos = draw(run, images, batch_size=batch_size, devices=devices)
    assert frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - expected[:, -1]).max() <= 1
    assert np.abs(videos.astype(int) - expected[: len(videos)]).max() <= 1


def test_the_record_scores_pairs(run, scored):
  record, _, drawn = scored
  found = record["reconstruction"]
  pairs = list(zip(held_out(NUM), drawn.images, strict=True))
  psnr = [
    skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255)
    for x, y in pairs
  ]
  error = np.mean([(x / 255.0 - y / 255.0) ** 2 for x, y in pairs])
  metrics = found["metrics"]
  # Images of 8 pixels are smaller than the window of SSIM.
  assert set(metrics) == {"PSNR", "PSNR of mean error", "IPD"}
  assert metrics["PSNR"]["value"] == pytest.approx(np.mean(psnr))
  assert metrics["PSNR of mean error"]["value"] == pytest.approx(
    -10 * np.log10(error)
  )
  assert {m["num_samples"] for m in metrics.values()} == {NUM}
  ids = jax.jit(run.task.encode)(
    run.params, run.extra, held_out(NUM), key=jax.random.key(0)
  )
  _, counts = np.unique(ids, return_counts=True)
  assert found["codebook"] == {
    "codes": 16,
    "codes_used": len(counts),
    "perplexity": pytest.approx(np.exp(scipy.stats.entropy(counts))),
    "tokens": 64,
  }
  assert record == results.read(run.workdir / evaluate.RESULTS_FILE)
  assert set(record["metrics"]["generated"]) == {
    "FD-digitscls", "NN-digitscls", "nearest-train"
  }  # fmt: skip


def test_the_report_shows_pairs(scored):
  record, text, _ = scored
  assert "Reconstructions" in text and "Samples" not in text
  assert f"Reconstructed ({NUM})." in text and f"held out ({NUM})." in text
  assert "PSNR of mean error" in text and "codes used" in text
  for metric in record["reconstruction"]["metrics"].values():
    assert html.escape(metric["definition"]) in text


def test_a_sentence_sums_it_up(scored):
  found = scored[0]["reconstruction"]
  said = reconstruction.sentence(found)
  book = found["codebook"]
  assert f"PSNR {found['metrics']['PSNR']['value']:.4g};" in said
  assert f"{book['codes_used']} of 16 codes used, perplexity" in said


def test_fewer_images_of_a_file_keep_their_partners(run, scored):
  """Those of a file are spread over the held-out images by its own length."""
  drawn = scored[2]
  record = evaluate.evaluate(
    run, samples=run.workdir / sample_files.NAME, num_samples=4
  )
  psnr = [
    skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255)
    for x, y in zip(held_out(NUM)[:4], drawn.images[:4], strict=True)
  ]
  value = record["reconstruction"]["metrics"]["PSNR"]["value"]
  assert value == pytest.approx(np.mean(psnr))


@pytest.fixture
def few(run):
  """The run with only five held-out images."""
  image_set = dataclasses.replace(
    run.image_set,
    name="few",
    fingerprint="few",
    test_images=run.image_set.test_images[:5],
    test_labels=None,
    train_labels=None,
  )
  return run.on(image_set)


def test_there_are_no_more_than_are_held_out(few):
  record = evaluate.evaluate(few, num_samples=20)
  counts = {m["num_samples"] for m in record["metrics"]["generated"].values()}
  assert counts == {5}
  assert record["reconstruction"]["metrics"]["PSNR"]["num_samples"] == 5
  drawn = sample_files.load(few.workdir / sample_files.NAME)
  assert drawn.images.shape == (5, 8, 8, 1)


def test_a_file_with_more_has_no_partners(few, tmp_path):
  path = tmp_path / "samples.npz"
  np.savez(path, images=few.image_set.train_images[:6])
  with pytest.raises(errors.UserError, match=r"6 images, but .* the 5 held"):
    evaluate.evaluate(few, samples=path)


def test_structural_similarity_where_its_window_fits():
  rng = np.random.default_rng(0)
  x, y = rng.integers(0, 256, (2, 3, 12, 11, 1), np.uint8)
  run = types.SimpleNamespace(task=object())
  found = reconstruction.measure(run, x, y)
  expected = np.mean(
    [
      skimage.metrics.structural_similarity(
        a, b, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        win_size=11, use_sample_covariance=False,
      )
      for a, b in zip(x, y, strict=True)
    ]
  )  # fmt: skip
  assert set(found) == {"metrics"}, "no codebook without ids"
  assert found["metrics"]["SSIM"]["value"] == pytest.approx(expected, abs=1e-6)


class Moving:
  """A stand-in for a video VAE with groups of two frames, encoded in reverse.

  Its videos are the image at falling brightness, the image last; it gives every
  frame back with an error of its own.
  """

  value_range = (-1.0, 1.0)
  abilities = ("reconstruct", "posterior")
  group = 2
  LIGHT = np.float32([0.2, 0.4, 0.6, 0.8, 1.0])
  ERROR = np.float32([0.02, 0.05, 0.04, 0.03, 0.0])

  def posterior(self, params, video):
    raise NotImplementedError

  def in_order(self, video):
    return video[:, ::-1]

  def pseudo_video(self, params, extra, images, *, key):
    light = self.LIGHT[None, :, None, None, None]
    return 2 * light * np.float32(1 / 255) * images[:, None] - 1

  def reconstruct(self, params, extra, images, *, key):
    video = self.pseudo_video(params, extra, images, key=key)
    noise = keys.uniform(keys.named(key, "noise"), video.shape)
    return video + self.ERROR[None, :, None, None, None] * noise


def measured(side, group):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 200, (7, side, side, 1), np.uint8)
  task = Moving()
  task.group = group
  run = types.SimpleNamespace(
    task=task,
    params=None,
    extra=None,
    config=types.SimpleNamespace(
      evaluate=types.SimpleNamespace(batch_size=4, seed=3)
    ),
  )
  return reconstruction.measure(run, images, images + np.uint8(1)), images


def test_frames_of_videos_are_scored_one_by_one():
  found, images = measured(12, 2)
  videos = found["videos"]
  rows = keys.example_keys(keys.named(jax.random.key(3), "videos"), 7)
  task = Moving()
  real, made = (
    np.rint((np.asarray(make(None, None, images, key=rows)) + 1) * 127.5)
    for make in (task.pseudo_video, task.reconstruct)
  )
  assert videos["num_videos"] == 7
  assert videos["psnr_by_frame"][4] is None, "given back to the bit"
  for t in range(4):
    decibels = [
      skimage.metrics.peak_signal_noise_ratio(x[t], y[t], data_range=255)
      for x, y in zip(real, made, strict=True)
    ]
    expected = pytest.approx(np.mean(decibels), abs=0.02)
    assert videos["psnr_by_frame"][t] == expected
  assert videos["information_preserved"] == pytest.approx(
    1 - np.abs(real - made).sum() / real.sum(), abs=1e-4
  )
  # Encoded are 4; 3, 2; 1, 0: places one and two of the groups.
  similarity = [
    np.mean(
      [
        skimage.metrics.structural_similarity(
          x[t, ..., 0], y[t, ..., 0], data_range=255, gaussian_weights=True,
          sigma=1.5, win_size=11, use_sample_covariance=False,
        )
        for x, y in zip(real, made, strict=True)
        for t in places
      ]
    )
    for places in ((3, 1), (2, 0))
  ]  # fmt: skip
  assert videos["ssim_by_position"] == pytest.approx(similarity, abs=1e-3)
  assert videos["ssim_spread"] == pytest.approx(
    abs(similarity[0] - similarity[1]), abs=1e-3
  )
  said = reconstruction.sentence(found)
  assert f"PSNR of the frames {videos['psnr_by_frame'][0]:.3g}, " in said
  assert said.endswith(", inf.")


@pytest.mark.parametrize("side, group", [(10, 2), (12, 1), (12, 3)])
def test_places_in_groups_need_whole_groups_and_a_window(side, group):
  videos = measured(side, group)[0]["videos"]
  assert set(videos) == {
    "num_videos",
    "psnr_by_frame",
    "information_preserved",
  }


def test_no_more_videos_are_scored_than_are_needed(monkeypatch):
  monkeypatch.setattr(reconstruction, "VIDEOS", 3)
  assert measured(10, 2)[0]["videos"]["num_videos"] == 3
