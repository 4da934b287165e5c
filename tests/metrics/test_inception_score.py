import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats

from pseudovideo import errors
from pseudovideo.metrics import inception_score as inception


def test_uniform_predictions_score_one():
  assert inception.inception_score(np.zeros((40, 7)), splits=4) == (
    pytest.approx(1.0),
    pytest.approx(0.0),
  )


@pytest.mark.parametrize("confidence", [40.0, 1e5])
def test_certain_and_balanced_predictions_score_the_number_of_classes(
  confidence,
):
  logits = confidence * np.tile(np.eye(10), (30, 1))
  score, _ = inception.inception_score(logits, splits=1)
  assert score == pytest.approx(10.0)


def test_one_class_only_scores_one():
  logits = np.tile([1e5, 0.0, 0.0], (8, 1))
  assert inception.inception_score(logits, splits=2)[0] == pytest.approx(1.0)


def test_equal_predictions_score_one_whatever_they_are():
  logits = np.tile(np.random.default_rng(0).normal(size=9), (30, 1))
  mean, std = inception.inception_score(logits, splits=3)
  assert mean == pytest.approx(1.0, abs=1e-12)
  assert std == pytest.approx(0.0, abs=1e-12)


def test_only_as_many_classes_as_occur_count():
  """Certain predictions, 3/4 of one class: exp of the entropy of (3, 1)/4."""
  logits = 1e4 * np.eye(6)[[2, 2, 2, 5] * 10]
  score, _ = inception.inception_score(logits, splits=1)
  assert score == pytest.approx(4 / 3**0.75)


def test_equals_scipy_entropies():
  """log IS = H(mean p) - mean H(p), per split in the drawn order."""
  logits = 2 * np.random.default_rng(0).normal(size=(103, 5))
  probs = scipy.special.softmax(logits, axis=1)
  probs = probs[np.random.default_rng(7).permutation(103)]
  bounds = [0, 34, 68, 103]
  expected = [
    np.exp(
      scipy.stats.entropy(probs[a:b].mean(0))
      - scipy.stats.entropy(probs[a:b], axis=1).mean()
    )
    for a, b in itertools.pairwise(bounds)
  ]
  mean, std = inception.inception_score(logits, splits=3, seed=7)
  assert mean == pytest.approx(np.mean(expected), rel=1e-12)
  assert std == pytest.approx(np.std(expected), rel=1e-9)


def test_adding_a_constant_to_the_logits_of_an_image_changes_nothing():
  logits = np.random.default_rng(0).normal(size=(60, 4))
  shifts = np.linspace(-800, 800, 60)[:, None]
  assert inception.inception_score(logits + shifts, splits=2) == pytest.approx(
    inception.inception_score(logits, splits=2), rel=1e-9
  )


def test_smaller_splits_score_lower():
  logits = 3 * np.random.default_rng(0).normal(size=(500, 10))
  assert (
    inception.inception_score(logits, splits=50)[0]
    < inception.inception_score(logits, splits=1)[0]
  )


def test_what_is_undefined_is_a_sentence():
  with pytest.raises(errors.UserError, match="10 splits of 9 samples"):
    inception.inception_score(np.zeros((9, 3)), splits=10)
  with pytest.raises(errors.UserError, match="0 splits"):
    inception.inception_score(np.zeros((9, 3)), splits=0)
  with pytest.raises(errors.UserError, match="NaN"):
    inception.inception_score(np.full((9, 3), np.nan), splits=1)
