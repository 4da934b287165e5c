import jax
import numpy as np
import pytest

from pseudovideo.pretrained.networks import classifier
from tests.models import parameters


@pytest.mark.parametrize(
  ("shape", "widths"),
  [((8, 8, 1), (32, 64)), ((32, 32, 3), (32, 64, 64, 64))],
)
def test_small_and_named(key, shape, widths):
  network = classifier.Classifier(num_classes=10, widths=widths)
  images = jax.random.uniform(key, (3, *shape), minval=-1.0)
  params = parameters.drawn(network.init, images)
  assert sum(a.size for a in jax.tree.leaves(params)) < 200_000
  levels = range(len(widths))
  assert set(params) == {
    *(f"conv{i}" for i in levels),
    *(f"norm{i}" for i in levels),
    "features",
    "feature_norm",
    "logits",
  }
  outputs = jax.jit(network.apply)({"params": params}, images)
  features, logits = map(np.asarray, outputs)
  assert features.shape == (3, 64)
  assert logits.shape == (3, 10)
  assert features.min() >= 0
  last = jax.tree.map(np.asarray, params["logits"])
  expected = features @ last["kernel"] + last["bias"]
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch(key):
  network = classifier.Classifier(num_classes=4, widths=(8, 8))
  images = np.asarray(jax.random.normal(key, (6, 7, 9, 2)))
  params = {"params": parameters.drawn(network.init, images)}
  apply = jax.jit(network.apply)
  alone = [apply(params, images[i : i + 1])[0] for i in range(6)]
  np.testing.assert_allclose(
    apply(params, images)[0], np.concatenate(alone), atol=1e-5
  )
