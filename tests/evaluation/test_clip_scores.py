"""Scores of clips: by motion, and what needs weights."""

import json

import numpy as np
import pytest
import scipy.linalg
import skimage.metrics

from pseudovideo import errors
from pseudovideo.evaluation import clip_scores
from pseudovideo.metrics import lpips, motion
from pseudovideo.pretrained import i3d, weights
from tests.metrics import moving, pixel_network

# Of clips of 64 x 64: two below 0.5 pixels per frame, one up to 2, two more.
VELOCITIES = [(0, 0), (1, 0), (0.2, 0.2), (3, 3), (0, 3)]
BINS = [[0, 2], [1], [3, 4]]
NOISE = [4, 8, 16, 20, 30]


@pytest.fixture(scope="module")
def clips():
  """Clips, and what came back: with noise of another size in each."""
  real = np.stack([moving.pan(velocity) for velocity in VELOCITIES])
  rng = np.random.default_rng(0)
  noise = [rng.normal(0, scale, real[0].shape) for scale in NOISE]
  made = np.rint(real + noise).clip(0, 255).astype(np.uint8)
  return real, made


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))


@pytest.fixture(scope="module")
def scored(clips, tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    empty = tmp_path_factory.mktemp("weights")
    patch.setenv(weights.VARIABLE, str(empty))
    return clip_scores.measure(*clips)


def test_bins(clips, scored):
  bins = scored["by_motion"]["bins"]
  assert [row["num_clips"] for row in bins] == [len(b) for b in BINS]
  edges = [(row["from"], row["below"]) for row in bins]
  assert edges == [(None, 0.5), (0.5, 2.0), (2.0, None)]
  real, made = clips
  for row, chosen in zip(bins, BINS, strict=True):
    frames = [(real[i][t], made[i][t]) for i in chosen for t in range(4)]
    psnr = [
      skimage.metrics.peak_signal_noise_ratio(*pair, data_range=255)
      for pair in frames
    ]
    error = np.mean([np.square(np.float64(x) - y).mean() for x, y in frames])
    ssim = [
      skimage.metrics.structural_similarity(
        *pair, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=255,
      )
      for pair in frames
    ]  # fmt: skip
    assert row["PSNR"] == pytest.approx(np.mean(psnr), rel=1e-9)
    expected = 10 * np.log10(255**2 / error)
    assert row["PSNR of mean error"] == pytest.approx(expected, rel=1e-9)
    assert row["SSIM"] == pytest.approx(np.mean(ssim), abs=1e-6)
  assert "RAFT" in scored["by_motion"]["definition"]


def test_bins_make_up_the_whole(scored):
  bins = scored["by_motion"]["bins"]
  for name in ("PSNR", "SSIM"):
    total = sum(row["num_clips"] * row[name] for row in bins)
    whole = scored["metrics"][name]
    assert total / 5 == pytest.approx(whole["value"], rel=1e-9)
    assert whole["num_samples"] == 5


def test_what_has_no_weights_is_said(scored):
  assert set(scored["missing"]) == {"LPIPS-alex", "FVD"}
  for said in scored["missing"].values():
    assert "are not on this machine" in said
  assert not any("FVD" in name for name in scored["metrics"])
  json.dumps(scored, allow_nan=False)


def test_what_came_back_to_the_bit(monkeypatch):
  """A still, black frame: a black bin, and another one."""
  real = np.stack([moving.pan((0, 0)), moving.pan((0, 3))])
  made = real.copy()
  made[1, 1:] += 2
  monkeypatch.setattr(motion, "scores", lambda clips: np.array([0.0, 3.0]))
  bins = clip_scores.by_motion(real, made)["bins"]
  assert [row["PSNR"] for row in bins] == [None] * 3
  found = [row["PSNR of mean error"] for row in bins]
  expected = 10 * np.log10(255**2 / 3)
  assert found == [None, None, pytest.approx(expected)]
  assert [row["num_clips"] for row in bins] == [1, 0, 1]
  scored = clip_scores.measure(real, made)
  assert "pairs of images are equal" in scored["missing"]["PSNR"]
  json.dumps(scored, allow_nan=False)


def test_small_and_single_frames():
  clips = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8, 3), np.uint8)
  found = clip_scores.measure(clips, clips ^ 1)
  assert "by_motion" not in found
  assert "1 frame shows no motion" in found["missing"]["by_motion"]
  assert "window of 11 x 11" in found["missing"]["SSIM"]
  assert found["metrics"]["PSNR"]["value"] == pytest.approx(48.1308, abs=1e-4)


# --- with weights ---


def test_lpips_is_a_mean_over_frames(clips, monkeypatch):
  """The network in place of LPIPS measures how far apart grey means are."""

  class Toy:
    def provenance(self):
      return {}

    def __call__(self, reference, other):
      return np.abs(np.float64(reference) - other).mean((2, 3, 4))

  asked = []
  monkeypatch.setattr(lpips, "load", lambda net: asked.append(net) or Toy())
  found = clip_scores.measure(*clips)
  real, made = np.float64(clips)
  assert asked == ["alex"] and "LPIPS-alex" not in found["missing"]
  assert found["metrics"]["LPIPS-alex"]["value"] == pytest.approx(
    np.abs(real - made).mean()
  )


@pytest.mark.parametrize(
  "network, score",
  [
    ("i3d-0123abcd", "FVD-i3d-0123abcd"),
    ("unofficial-i3d-0123abcd", "FD-unofficial-i3d-0123abcd"),
  ],
)
def test_the_distance_of_videos(monkeypatch, network, score):
  """Named FVD over the logits of I3D only."""
  shape = (9, 4, 4, 3)
  real, made = (pixel_network.images(40, seed, shape) for seed in (0, 1))
  net = pixel_network.make(network, frames=9)
  monkeypatch.setattr(i3d, "load", lambda: net)
  found = clip_scores.frechet(real, made)
  assert set(found) == {score}
  (m1, s1), (m2, s2) = (
    (x.mean(0), np.cov(x, rowvar=False))
    for x in map(pixel_network.features, (real, made))
  )
  root = scipy.linalg.sqrtm(s1 @ s2).real
  expected = np.square(m1 - m2).sum() + np.trace(s1 + s2 - 2 * root)
  assert found[score]["value"] == pytest.approx(expected, rel=1e-4)
  assert found[score]["num_samples"] == found[score]["reference_size"] == 40
  assert found[score]["reference_split"] == "test"


def test_clips_that_are_too_short_or_few(monkeypatch):
  net = pixel_network.make("i3d-0123abcd", frames=9)
  monkeypatch.setattr(i3d, "load", lambda: net)
  for shape, said in (((5, 5), "at least 9"), ((1, 9), "two clips or more")):
    clips = pixel_network.images(shape[0], 0, (shape[1], 4, 4, 3))
    with pytest.raises(errors.UserError, match=said):
      clip_scores.frechet(clips, clips)
