import jax
import numpy as np
import pytest

from pseudovideo import keys


def test_examples_do_not_notice_the_batch_size(key):
  whole = np.asarray(keys.normal(key, (8, 3, 2)))
  rows = keys.example_keys(key, 3, start=5)
  np.testing.assert_array_equal(
    whole[5:], np.asarray(keys.normal(rows, (3, 3, 2)))
  )
  np.testing.assert_array_equal(
    np.asarray(keys.uniform(key, (8, 2)))[:2],
    np.asarray(keys.uniform(key, (2, 2))),
  )
  np.testing.assert_array_equal(
    np.asarray(keys.integers(key, 8, 1, 9))[:2],
    np.asarray(keys.integers(key, 2, 1, 9)),
  )


def test_names_and_numbers_commute_with_taking_rows(key):
  rows = keys.example_keys(key, 4)
  for derive in (
    lambda k: keys.named(k, "noise"),
    lambda k: keys.numbered(k, 7),
  ):
    one = derive(rows[2])
    all_of_them = derive(rows)
    assert jax.random.key_data(one).tolist() == (
      jax.random.key_data(all_of_them[2]).tolist()
    )
    assert jax.random.key_data(one).tolist() != (
      jax.random.key_data(rows[2]).tolist()
    )


def test_names_are_independent(key):
  a = np.asarray(keys.normal(keys.named(key, "a"), (20_000,)))
  b = np.asarray(keys.normal(keys.named(key, "b"), (20_000,)))
  assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(20_000)
  assert abs(a.mean()) < 5 / np.sqrt(20_000)
  assert abs(a.std() - 1) < 0.03


def test_wrong_number_of_keys_is_refused(key):
  with pytest.raises(ValueError, match="for 4 examples"):
    keys.example_keys(keys.example_keys(key, 3), 4)


def test_integers_cover_exactly_their_range(key):
  drawn = np.asarray(keys.integers(key, 2000, 1, 5))
  assert sorted(set(drawn.tolist())) == [1, 2, 3, 4]
