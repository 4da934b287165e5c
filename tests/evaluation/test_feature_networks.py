"""Which networks a data set is scored through."""

import itertools

import pytest

from pseudovideo import errors
from pseudovideo.data.image_set import ImageSet
from pseudovideo.evaluation import feature_networks
from pseudovideo.pretrained import (
  classifier,
  efficientnet_lite,
  inception,
  packaged,
  weights,
)
from tests.metrics import pixel_network

Use = feature_networks.Use


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
def doubles(monkeypatch):
  """Networks without weights in place of all; the weights that are found."""
  found = set()
  monkeypatch.setattr(
    weights, "find", lambda file: file.title if file in found else None
  )
  for module, name in (
    (inception, "inception"),
    (efficientnet_lite, "efflite0"),
  ):
    network = pixel_network.make(name)
    monkeypatch.setattr(module, "load", lambda network=network: network)
  monkeypatch.setattr(
    classifier,
    "get_feature_network",
    lambda image_set, *, binarize: pixel_network.make(
      f"{image_set.name}cls", binarize=binarize
    ),
  )
  return found


def names(*arguments, **options):
  found = feature_networks.networks_for(image_set(*arguments), **options)
  return [network.name for network in found]


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("present", [True, False])
def test_choice(doubles, lite, present):
  """The one to quote comes first."""
  doubles |= {weights.EFFICIENTNET_LITE0} if lite else set()
  doubles |= {weights.INCEPTION} if present else set()
  for channels, labels in itertools.product((1, 3), (True, False)):
    own = ["noisecls"] if labels and channels == 1 else []
    light = ["efflite0"] if lite else []
    first = ["inception"] if present and channels == 3 else []
    assert names(channels, labels) == own + light + first
    assert names(channels, labels, use=Use("never", "never", "never")) == []
  for word in Use.__dataclass_fields__:
    never = dict.fromkeys(Use.__dataclass_fields__, "never")
    always = Use(**{**never, word: "always"})
    (found,) = names(3, True, use=always)
    assert found == {"classifier": "noisecls"}.get(word, word)


def test_a_packaged_classifier_is_used_for_colour_images(doubles, monkeypatch):
  doubles.add(weights.EFFICIENTNET_LITE0)
  assert names(3, True) == ["efflite0"]
  monkeypatch.setattr(packaged, "find", lambda *_: "a classifier")
  assert names(3, True) == ["efflite0", "noisecls"]
  assert names(3, False) == ["efflite0"]


@pytest.mark.parametrize("how", ["threshold", "bernoulli"])
def test_networks_know_how_the_data_are_binarized(doubles, how):
  found = feature_networks.networks_for(
    image_set(1, True), binarize=how, use=Use("auto", "always", "always")
  )
  assert [network.binarize for network in found] == [how] * 3


def test_mistakes_are_sentences(tmp_path, monkeypatch):
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  colour = image_set(3, False)
  for field in Use.__dataclass_fields__:
    with pytest.raises(errors.UserError, match=r"'sometimes'.*always, auto"):
      feature_networks.networks_for(colour, use=Use(**{field: "sometimes"}))
  light = {"efflite0": "never"}
  with pytest.raises(errors.UserError, match="are not on this machine; put"):
    feature_networks.networks_for(colour, use=Use(inception="always", **light))
  assert feature_networks.networks_for(colour, use=Use(**light)) == []
  (tmp_path / weights.INCEPTION.names[0]).write_bytes(b"cut")
  for word in ("auto", "always"):
    with pytest.raises(errors.UserError, match="it was cut or altered"):
      feature_networks.networks_for(colour, use=Use(inception=word, **light))
  never = Use(inception="never", **light)
  assert feature_networks.networks_for(colour, use=never) == []
