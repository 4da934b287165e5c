"""Features of images are those computed at once, and are kept on disk."""

import dataclasses
import logging
import tracemalloc

import numpy as np
import pytest

from pseudovideo.data import digits
from pseudovideo.metrics import sources, summary
from pseudovideo.pretrained.features import FeatureNetwork
from tests.metrics import pixel_network

NUM = 600  # Three blocks, the last one uneven.


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  return tmp_path / "pseudovideo" / "summaries"


@pytest.fixture(scope="module")
def images():
  return pixel_network.images(NUM)


def source(images, identity="one"):
  return sources.of_array(images, "some images", identity)


def check_moments(found, images):
  features = pixel_network.features(images)
  assert found.moments.num == len(images)
  np.testing.assert_allclose(found.moments.mean, features.mean(0), rtol=1e-6)
  np.testing.assert_allclose(
    found.moments.covariance, np.cov(features.T), rtol=1e-5, atol=1e-8
  )


def check(found, images):
  check_moments(found, images)
  np.testing.assert_allclose(
    found.kept["features"], pixel_network.features(images), rtol=1e-6
  )
  np.testing.assert_allclose(
    found.kept["logits"], pixel_network.logits(images), rtol=1e-6
  )


class SeesNothing(FeatureNetwork):
  """A network that must not be asked again."""

  def stream(self, blocks, batch_size=None):
    raise AssertionError("The network was shown what was kept.")


def blind(network) -> SeesNothing:
  """The facts of a network that sees nothing."""
  return SeesNothing(**vars(network))


@pytest.mark.parametrize("keep", [(), ("features",), ("logits",)])
def test_moments_and_what_is_kept_are_those_of_all_images(images, keep):
  found = summary.summarize(pixel_network.make(), source(images), keep=keep)
  check_moments(found, images)
  for name in ("features", "logits"):
    assert (name in found.kept) == (name in keep)
    if name in keep:
      expected = getattr(pixel_network, name)(images)
      np.testing.assert_allclose(found.kept[name], expected, rtol=1e-6)


def test_a_reference_is_seen_once(images, home):
  network = pixel_network.make()
  check(summary.reference(network, source(images)), images)
  (folder,) = home.iterdir()
  assert folder.name.startswith("pixels-")
  again = summary.reference(blind(network), source(images))
  check(again, images)
  assert isinstance(again.kept["features"], np.memmap)


def test_other_networks_and_images_are_seen_anew(images, home):
  network = pixel_network.make()
  first = source(images[:40])
  summary.reference(network, first)
  others = [
    (network, source(images[:40], "two")),
    (network, first.chosen(20, 0)),
    (network, first.chosen(20, 1)),
    (dataclasses.replace(network, weights_hash="cd" * 32), first),
    (dataclasses.replace(network, facts={"resize": "clean"}), first),
    (dataclasses.replace(network, name="pixels-clean"), first),
  ]
  for number, (one, images_of) in enumerate(others, 2):
    with pytest.raises(AssertionError, match="was shown"):
      summary.reference(blind(one), images_of)
    summary.reference(one, images_of)
    assert len(list(home.iterdir())) == number


def test_splits_and_binarizations_are_told_apart(home):
  network, data = pixel_network.make(), digits.load()
  for number, (split, binarize) in enumerate(
    [
      ("train", "none"),
      ("test", "none"),
      ("test", "threshold"),
      ("test", "bernoulli"),
    ],
    1,
  ):
    found = summary.reference(network, sources.of_split(data, split, binarize))
    assert len(list(home.iterdir())) == number
    assert found.moments.num == {"train": 1437, "test": 360}[split]
    values = set(np.unique(found.kept["features"]))
    assert (values <= {0.0, 1.0}) == (binarize != "none")


@pytest.mark.parametrize("array", ["features", "scatter"])
def test_damage_is_reported_and_repaired(images, home, caplog, array):
  network = pixel_network.make()
  summary.reference(network, source(images))
  (folder,) = home.iterdir()
  path = folder / f"{array}.npy"
  content = bytearray(path.read_bytes())
  content[-3] ^= 1
  path.write_bytes(content)
  with caplog.at_level(logging.WARNING):
    check(summary.reference(network, source(images)), images)
  assert "is damaged" in caplog.text
  caplog.clear()
  summary.reference(blind(network), source(images))
  assert "damaged" not in caplog.text


def test_images_without_identity_are_not_kept(images, home):
  with pytest.raises(ValueError, match="without its identity"):
    summary.reference(pixel_network.make(), source(images, None))
  assert not home.exists()


class Wide(FeatureNetwork):
  """Many features, made on the host, so that all memory is counted."""

  def stream(self, blocks, batch_size=None):
    done = 0
    for block in blocks:
      rows = slice(done, done + len(block))
      mean = block.mean((1, 2, 3), dtype=np.float32)[:, None]
      yield rows, (np.tile(mean, (1, 64)), np.tile(mean, (1, 1000)))
      done = rows.stop


@pytest.mark.parametrize(("keep", "grows"), [((), False), (("logits",), True)])
def test_memory_does_not_grow_with_the_images(keep, grows):
  one = pixel_network.images(1)
  made = pixel_network.make(feature_dim=64, num_classes=1000)
  network = Wide(**vars(made))

  def peak(num):
    many = np.broadcast_to(one, (num, *one.shape[1:]))
    some = source(many)
    tracemalloc.start()
    try:
      summary.summarize(network, some, keep=keep)
      return tracemalloc.get_traced_memory()[1]
    finally:
      tracemalloc.stop()

  peak(300)
  few, many = peak(1_000), peak(10_000)
  assert (many > 1.1 * few) == grows
