import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors, fields, optimizers

BASE = optimizers.OptimizerConfig(learning_rate=0.1)
SCHEDULES = fields.choices(fields.types_of(type(BASE))["schedule"])


def rates(steps=10, **changes):
  config = dataclasses.replace(BASE, **changes)
  schedule = optimizers.make_schedule(config, steps)
  return np.array([float(schedule(i)) for i in range(steps)])


def test_schedules_have_their_closed_forms():
  np.testing.assert_allclose(rates(), 0.1)
  t = np.arange(10)
  np.testing.assert_allclose(
    rates(schedule="cosine"), 0.05 * (1 + np.cos(np.pi * t / 10)), rtol=1e-5
  )
  np.testing.assert_allclose(
    rates(schedule="linear"), 0.1 * (1 - t / 10), rtol=1e-5
  )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_starts_at_zero_and_ends_at_the_peak(schedule):
  warm = rates(schedule=schedule, warmup_steps=4)
  np.testing.assert_allclose(warm[:5], [0, 0.025, 0.05, 0.075, 0.1], rtol=1e-6)
  assert (np.diff(warm[4:]) <= 0).all()


def test_adamw_follows_its_equations():
  config = dataclasses.replace(BASE, clip_norm=1.0, weight_decay=0.3)
  tx = optimizers.make_optimizer(config, optimizers.make_schedule(config, 9))
  rng = np.random.default_rng(0)
  params, gradients = rng.normal(size=5), 3 * rng.normal(size=(4, 5))
  with jax.enable_x64(True):
    ours = jnp.asarray(params)
    opt_state = tx.init(ours)
    for g in gradients:
      updates, opt_state = tx.update(jnp.asarray(g), opt_state, ours)
      ours = ours + updates
    ours = np.asarray(ours)
  m, v, expected = np.zeros(5), np.zeros(5), params
  for i, g in enumerate(gradients, 1):
    g = g / max(1, np.linalg.norm(g))
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    direction = (m / (1 - 0.9**i)) / (np.sqrt(v / (1 - 0.999**i)) + 1e-8)
    expected = expected - 0.1 * (direction + 0.3 * expected)
  np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_a_discriminator_has_an_optimizer_of_its_own():
  """Its gradients neither move the others nor count in their clipping."""
  own = dataclasses.replace(BASE, clip_norm=1.0)
  opponent = optimizers.AdamConfig(learning_rate=0.01, b1=0.0)
  rng = np.random.default_rng(0)
  params = {
    "encoder": jnp.ones(3), "decoder": jnp.ones(2), "discriminator": jnp.ones(4)
  }  # fmt: skip
  both = optimizers.for_players(own, 9, opponent)
  alone = {
    "own": optimizers.for_players(own, 9, None),
    "discriminator": optimizers.make_optimizer(opponent, lambda step: 0.01),
  }
  without = {k: v for k, v in params.items() if k != "discriminator"}
  states = {
    "both": both.init(params),
    "own": alone["own"].init(without),
    "discriminator": alone["discriminator"].init(params["discriminator"]),
  }
  for _ in range(3):
    grads = {k: jnp.asarray(100 * rng.normal(size=v.shape), jnp.float32)
             for k, v in params.items()}  # fmt: skip
    together, states["both"] = both.update(grads, states["both"], params)
    own_grads = {k: grads[k] for k in without}
    ours, states["own"] = alone["own"].update(own_grads, states["own"], without)
    theirs, states["discriminator"] = alone["discriminator"].update(
      grads["discriminator"],
      states["discriminator"],
      params["discriminator"],
    )
    expected = {**ours, "discriminator": theirs}
    for name, update in together.items():
      np.testing.assert_allclose(update, expected[name], rtol=1e-6)


def test_messages_name_the_section():
  """Two sections have the same fields."""
  config = optimizers.AdamConfig(warmup_steps=9)
  with pytest.raises(
    errors.UserError, match=r"discriminator_optimizer\.warmup"
  ):
    optimizers.make_schedule(config, 9)


def test_a_warm_up_longer_than_the_run_is_refused():
  with pytest.raises(errors.UserError, match="must be smaller than"):
    optimizers.make_schedule(dataclasses.replace(BASE, warmup_steps=9), 9)
