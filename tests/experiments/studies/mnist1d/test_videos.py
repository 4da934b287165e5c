"""Pseudo videos of signals: the tasks, and scores against scipy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage

from experiments.studies.mnist1d import __main__ as mnist1d
from experiments.studies.mnist1d import classifiers, videos
from experiments.studies.mnist1d import signals as mnist1d_signals

BUDGET = videos.Budget()


@pytest.fixture(scope="module")
def signals():
  return mnist1d_signals.make(120, 150)


@pytest.fixture(scope="module")
def tasks():
  return {
    name: videos.make_task(video, BUDGET)
    for name, (_, video) in mnist1d.VIDEOS.items()
  }


def test_all_rows_have_the_same_network(tasks):
  def shapes(task):
    params, _ = jax.eval_shape(
      lambda key: task.init(key, None), jax.random.key(0)
    )
    return jax.tree.map(lambda p: p.shape, params)

  every = [shapes(task) for task in tasks.values()]
  assert all(one == every[0] for one in every)


def test_frames_are_drawn_as_in_the_paper(tasks):
  assert tasks["one_frame"].stages == (((), (0,)),)
  for name in ("high_order_4", "blur_4"):
    assert tasks[name].stages == (
      ((), (0, 1)), ((0, 1), (2,)), ((1, 2), (3,))
    )  # fmt: skip
  evaluations = {n: task.network_evaluations for n, task in tasks.items()}
  assert evaluations == {
    "one_frame": 50, "one_frame_long": 50, "high_order_4": 150, "blur_4": 150
  }  # fmt: skip


def test_earlier_frames_of_a_signal_are_the_signal_blurred(tasks, signals):
  images = mnist1d_signals.to_images(signals.train[:2])
  video = tasks["blur_4"].pseudo_video(
    {}, {}, jnp.asarray(images), key=jax.random.key(0)
  )
  assert video.shape == (2, 4, 1, 40, 1)
  frame = images[:, 0, :, 0].astype(np.float64) / 127.5 - 1
  np.testing.assert_allclose(video[:, 3, 0, :, 0], frame, atol=1e-6)
  for place, growth in ((2, 0), (1, 1), (0, 2)):
    std = np.exp(0.05 * growth)
    taps = np.exp(-np.square(np.arange(-5, 6) / std) / 2)
    frame = scipy.ndimage.convolve1d(frame, taps / taps.sum(), mode="wrap")
    np.testing.assert_allclose(video[:, place, 0, :, 0], frame, atol=1e-5)


def test_scores_are_frechet_distances_to_the_held_out_signals(signals):
  network = classifiers.FullyConnected((7,))
  params = network.init(jax.random.key(1), signals.train[:1])["params"]
  scorer = videos.Scorer(network, params, 0.25, signals)
  found = scorer.scores(mnist1d_signals.to_images(signals.train))

  def rounded(x):
    levels = np.round((x.astype(np.float64) + 1) * 127.5)
    return levels / 127.5 - 1

  def hidden(x):
    layer = jax.tree.map(np.float64, params["dense0"])
    return np.maximum(x @ layer["kernel"] + layer["bias"], 0)

  def distance(a, b):
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    gap = a.mean(0) - b.mean(0)
    return gap @ gap + np.trace(first + second - 2 * root)

  train, test = rounded(signals.train), rounded(signals.test)
  points, features = found["FD-points"], found["FD-mnist1dcls"]
  assert points["value"] == pytest.approx(distance(train, test), rel=1e-3)
  assert features["value"] == pytest.approx(
    distance(hidden(train), hidden(test)), rel=1e-3
  )
  assert points["num_samples"] == 120
  assert points["reference_size"] == 150
  assert features["feature_network"]["held_out_accuracy"] == 0.75
  same = scorer.scores(mnist1d_signals.to_images(signals.test))
  assert all(score["value"] < 1e-9 for score in same.values())
