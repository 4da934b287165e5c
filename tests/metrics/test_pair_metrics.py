"""Scores of pairs, in blocks, are those of the whole sets."""

import json

import numpy as np
import pytest
import skimage.metrics

from pseudovideo import errors
from pseudovideo.metrics import lpips, pair_metrics
from tests.metrics import pixel_network, test_lpips
from tests.pretrained.networks import backbone_reference

OF_IMAGES = ["PSNR", "SSIM", "IPD"]


def blocks(reference, scored, length=5):
  for start in range(0, len(reference), length):
    yield reference[start : start + length], scored[start : start + length]


def noisy(reference, seed=9):
  noise = np.random.default_rng(seed).integers(-40, 41, reference.shape)
  return np.clip(reference + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=[(13, 14, 1), (5, 12, 16, 3)])
def pairs(request):
  """Images and videos: two whole blocks and two items more."""
  reference = pixel_network.images(12, shape=request.param)
  return reference, noisy(reference)


@pytest.fixture(scope="module")
def records(pairs):
  return pair_metrics.records(blocks(*pairs), OF_IMAGES)


def frames(pairs):
  return zip(*(a.reshape(-1, *a.shape[-3:]) for a in pairs), strict=True)


def test_psnr(pairs, records):
  """The mean of the ratios, and the ratio of the mean error."""
  values = [
    skimage.metrics.peak_signal_noise_ratio(x, y) for x, y in frames(pairs)
  ]
  found = records["PSNR"]
  assert found["value"] == pytest.approx(np.mean(values), rel=1e-9)
  assert found["std"] == pytest.approx(np.std(values), rel=1e-7)
  x, y = np.float64(pairs)
  expected = 10 * np.log10(255**2 / np.square(x - y).mean())
  found = records["PSNR of mean error"]
  assert found["value"] == pytest.approx(expected, rel=1e-9)
  assert found["std"] is None


def similarities(pairs):
  return [
    skimage.metrics.structural_similarity(
      x,
      y,
      channel_axis=-1,
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=255,
      full=True,
    )[1][5:-5, 5:-5].mean()
    for x, y in frames(np.float64(pairs))
  ]


def test_ssim(pairs, records):
  values = similarities(pairs)
  assert records["SSIM"]["value"] == pytest.approx(np.mean(values), rel=1e-7)
  assert records["SSIM"]["std"] == pytest.approx(np.std(values), rel=1e-5)


def test_ipd_is_a_ratio_of_sums(pairs, records):
  x, y = np.float64(pairs)
  expected = 1 - np.abs(x - y).sum() / x.sum()
  assert records["IPD"]["value"] == pytest.approx(expected, rel=1e-12)
  blockwise = [1 - np.abs(a - b).sum() / a.sum() for a, b in blocks(x, y)]
  assert np.mean(blockwise) != pytest.approx(expected, rel=1e-6)


def test_records_hold_what_is_needed_to_quote_them(records):
  assert list(records) == ["PSNR", "PSNR of mean error", "SSIM", "IPD"]
  for name, record in records.items():
    json.dumps(record, allow_nan=False)
    assert record["name"] == name
    assert record["num_samples"] == 12
    assert record["better"] == "higher"
    assert record["definition"].endswith(".")
    assert "feature_network" not in record


def test_ssim_by_the_place_of_a_frame():
  """Nine frames: two groups of four behind the first one."""
  reference = pixel_network.images(7, shape=(9, 12, 12, 1))
  scored = noisy(reference)
  scored[:, 3::4] = reference[:, 3::4]  # Frames 3 and 7: the third place.
  scored[:, 0] = 0
  values = np.reshape(similarities((reference, scored)), (7, 9))
  found = pair_metrics.records(blocks(reference, scored), ["SSIM-position"])
  means = [values[:, [place, place + 4]].mean() for place in range(1, 5)]
  for place, mean in enumerate(means, 1):
    record = found[f"SSIM at {place} of 4"]
    assert record["value"] == pytest.approx(mean, rel=1e-7)
    assert record["num_samples"] == 7
  assert found["SSIM at 3 of 4"]["value"] == pytest.approx(1, abs=1e-12)
  spread = found["SSIM spread"]
  assert spread["value"] == pytest.approx(1 - min(means), rel=1e-6)
  assert (spread["better"], spread["name"]) == ("lower", "SSIM spread")


@pytest.mark.parametrize("shape", [(12, 12, 1), (8, 12, 12, 1)])
def test_other_lengths_have_no_places(shape):
  images = pixel_network.images(3, shape=shape)
  with pytest.raises(errors.UserError, match="1 \\+ a multiple"):
    pair_metrics.records(blocks(images, images), ["SSIM-position"])


def test_an_equal_pair_has_no_psnr(pairs):
  reference, scored = pairs
  scored = scored.copy()
  scored[7] = reference[7]
  num = (
    reference[7].size
    // reference.shape[-3:][0]
    // np.prod(reference.shape[-2:])
  )
  total = num * 12
  with pytest.raises(
    errors.UserError, match=f"^{num} of {total} pairs of images are equal"
  ):
    pair_metrics.records(blocks(reference, scored), ["PSNR"])
  found = pair_metrics.records(blocks(reference, scored), ["SSIM", "IPD"])
  assert found["SSIM"]["value"] < 1


def test_mistakes_are_sentences():
  small = pixel_network.images(3, shape=(10, 20, 3))
  black = np.zeros_like(small)
  for x, kind, said in [
    (small, "SSIM", "window of 11 x 11"),
    (black, "IPD", "all black"),
    (small, "PSNRR", "no metric of pairs named 'PSNRR'; did you mean 'PSNR'"),
    (small, "FID", r"IPD, LPIPS-alex, LPIPS-vgg, PSNR, SSIM, SSIM-position\."),
  ]:
    with pytest.raises(errors.UserError, match=said):
      pair_metrics.records(blocks(x, small), [kind])


@pytest.fixture(scope="module")
def alexnet():
  return (
    backbone_reference.make(
      backbone_reference.alexnet_arrays(), empty="classifier"
    ),
    backbone_reference.lpips_linear(lpips.BACKBONES["alex"].channels),
  )


def test_lpips_of_videos(alexnet, monkeypatch):
  lead = (2, 3)
  metric = test_lpips.load("alex", *alexnet)
  monkeypatch.setattr(lpips, "load", {"alex": metric}.__getitem__)
  reference = pixel_network.images(lead[0], shape=(*lead[1:], 31, 32, 3))
  scored = noisy(reference)
  found = pair_metrics.records(
    blocks(reference, scored, length=2), ["LPIPS-alex"]
  )
  maps = [
    backbone_reference.alexnet(
      alexnet[0],
      backbone_reference.lpips_input(some.reshape(-1, 31, 32, 3)),
    )
    for some in (reference, scored)
  ]
  values = backbone_reference.lpips(*maps, alexnet[1])
  record = found["LPIPS-alex"]
  assert record["value"] == pytest.approx(values.mean(), rel=1e-5)
  assert record["std"] == pytest.approx(values.std(), rel=1e-4)
  assert record["num_samples"] == lead[0]
  assert record["better"] == "lower"
  assert record["feature_network"] == metric.provenance()
  assert record["feature_network"]["name"] == "LPIPS-alex"
  json.dumps(record, allow_nan=False)


def test_missing_weights_are_said_before_anything_is_read(
  tmp_path, monkeypatch
):
  monkeypatch.setenv("PSEUDOVIDEO_WEIGHTS_DIR", str(tmp_path))

  def unread():
    raise AssertionError("The pairs were read.")
    yield

  with pytest.raises(errors.UserError, match=r"vgg16-397923af\.pth from http"):
    pair_metrics.records(unread(), ["PSNR", "LPIPS-vgg"])
