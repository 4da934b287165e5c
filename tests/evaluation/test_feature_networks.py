"""Which networks a data set is scored through."""

import itertools

import pytest

from pseudovideo import errors
from pseudovideo.data.image_set import ImageSet
from pseudovideo.evaluation import feature_networks
from pseudovideo.pretrained import classifier, inception, weights
from tests.metrics import pixel_network


def image_set(channels, labels) -> ImageSet:
  images = pixel_network.images(6, shape=(4, 4, channels))
  classes = [0, 1, 0, 1, 0, 1] if labels else None
  return ImageSet(
    name="noise",
    train_images=images,
    train_labels=classes,
    test_images=images,
    test_labels=classes,
    num_classes=2 if labels else None,
    source="made here",
    fingerprint="4567",
  )


@pytest.fixture
def doubles(tmp_path, monkeypatch):
  """Networks without weights in place of both; the folder of weights."""
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  monkeypatch.setattr(
    inception, "load", lambda: pixel_network.make("inception")
  )
  monkeypatch.setattr(
    classifier,
    "get_feature_network",
    lambda image_set, *, binarize: pixel_network.make(
      f"{image_set.name}cls", binarize=binarize
    ),
  )
  return tmp_path


def names(*arguments, **options):
  found = feature_networks.networks_for(image_set(*arguments), **options)
  return [network.name for network in found]


@pytest.mark.parametrize("present", [True, False])
def test_choice(doubles, present):
  if present:
    (doubles / weights.INCEPTION.names[1]).touch()
  for channels, labels in itertools.product((1, 3), (True, False)):
    first = ["noisecls"] if labels else []
    seen = ["inception"] if present and channels == 3 else []
    assert names(channels, labels) == first + seen
    assert names(channels, labels, use_inception="auto") == first + seen
    assert names(channels, labels, use_inception="never") == first
    always = names(channels, labels, use_inception="always")
    assert always == [*first, "inception"]


@pytest.mark.parametrize("how", ["threshold", "bernoulli"])
def test_networks_know_how_the_data_are_binarized(doubles, how):
  found = feature_networks.networks_for(
    image_set(1, True), binarize=how, use_inception="always"
  )
  assert [network.binarize for network in found] == [how, how]


def test_mistakes_are_sentences(tmp_path, monkeypatch):
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  colour = image_set(3, False)
  with pytest.raises(errors.UserError, match=r"'sometimes'.*always, auto"):
    feature_networks.networks_for(colour, use_inception="sometimes")
  with pytest.raises(errors.UserError, match="are not on this machine; put"):
    feature_networks.networks_for(colour, use_inception="always")
  assert feature_networks.networks_for(colour) == []
  (tmp_path / weights.INCEPTION.names[0]).write_bytes(b"cut")
  for use in ("auto", "always"):
    with pytest.raises(errors.UserError, match="it was cut or altered"):
      feature_networks.networks_for(colour, use_inception=use)
  assert feature_networks.networks_for(colour, use_inception="never") == []
