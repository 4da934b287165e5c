"""The lecture's two networks: sizes by hand, sums by hand, a toy they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from experiments.studies.mnist1d import classifiers
from experiments.studies.mnist1d.signals import Signals
from pseudovideo import shapes


@pytest.fixture(scope="module")
def params():
  """Their shapes."""
  x = jnp.zeros((1, 40))
  return {
    name: jax.eval_shape(network.init, jax.random.key(0), x)["params"]
    for name, network in classifiers.NETWORKS.items()
  }


def test_parameters_by_hand(params):
  counts = {name: shapes.count_parameters(p) for name, p in params.items()}
  # 40 points -> 19 -> 9 -> 4 places of 15 channels: 60 features.
  one, many = 3 * 1 * 15 + 15, 3 * 15 * 15 + 15
  assert one + 2 * many + 60 * 10 + 10 == 2050
  assert counts["convolutional"] == 2050
  # As many units: 285 = 19 x 15, 135 = 9 x 15, 60 = 4 x 15.
  dense = 40 * 285 + 285 + 285 * 135 + 135 + 135 * 60 + 60 + 60 * 10 + 10
  assert counts["fully_connected"] == dense == 59_065


def test_the_convolutional_network_is_a_chain_of_convolutions(params):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 40)).astype(np.float32)
  given = jax.tree.map(
    lambda p: rng.normal(size=p.shape).astype(np.float32),
    params["convolutional"],
  )
  network = classifiers.NETWORKS["convolutional"]
  found = jax.jit(network.apply)({"params": given}, x)
  h = x[:, :, None].astype(np.float64)
  for layer in ("conv0", "conv1", "conv2"):
    # Rows of the kernel: place by place, and channels within a place.
    kernel = given[layer]["kernel"].reshape(3, h.shape[2], 15)
    h = np.stack(
      [
        [
          sum(
            scipy.signal.correlate(row[:, c], kernel[:, c, d], mode="valid")
            for c in range(h.shape[2])
          )[::2]
          + given[layer]["bias"][d]
          for d in range(15)
        ]
        for row in h
      ]
    ).transpose(0, 2, 1)
    h = np.maximum(h, 0)
  assert h.shape == (2, 4, 15)
  features = h.reshape(2, 60)
  logits = features @ given["logits"]["kernel"] + given["logits"]["bias"]
  np.testing.assert_allclose(found[0], features, rtol=1e-4, atol=1e-3)
  np.testing.assert_allclose(found[1], logits, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", list(classifiers.NETWORKS))
def test_a_linearly_separable_toy_is_learned_without_an_error(name):
  rng = np.random.default_rng(1)
  labels = (np.arange(600) % 10).astype(np.int32)
  # Digit d is a block at places 4 d .. 4 d + 3.
  x = (np.arange(40)[None] // 4 == labels[:, None]) * 2.0
  x = (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32)
  signals = Signals(x[:400], labels[:400], x[400:], labels[400:])
  trained = classifiers.train(
    classifiers.NETWORKS[name], signals, epochs=30, seed=0
  )
  assert trained.test_errors[-1] == 0
  assert trained.train_errors[-1] == 0
  assert len(trained.test_errors) == 30
  again = classifiers.error(
    classifiers.NETWORKS[name], trained.params, x[400:], (labels[400:] + 1) % 10
  )
  assert again == 1, "every label is another one"


def test_the_rate_halves_every_20_epochs():
  # Of a constant gradient 1 the momentum is 1 + 0.9 + 0.81 + ...
  optimizer = classifiers.sgd(per_epoch=3)
  gradient = {"w": jnp.ones(())}
  opt_state = optimizer.init(gradient)
  found, trace = [], 0.0
  for _ in range(62):
    updates, opt_state = optimizer.update(gradient, opt_state)
    trace = 1 + 0.9 * trace
    found.append(-float(updates["w"]) / trace)
  np.testing.assert_allclose(found, [0.05] * 60 + [0.025] * 2, rtol=1e-5)
