"""The step: its reduction, accumulation, and equality across devices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pseudovideo import data, keys
from pseudovideo.devices import sharding
from pseudovideo.models import unet
from pseudovideo.tasks import base, heat_hvae
from pseudovideo.training import state, steps

NET = unet.UNet(
  channels=8, multipliers=(1,), blocks=1, attention=(), heads=1, groups=4,
  conditioning="additive", dropout=0.1,
)  # fmt: skip
TASK = heat_hvae.HeatHVAE(
  image_shape=(8, 8, 1), model=NET, levels=2, sigma_min=0.3, sigma_max=6.0,
  sigma_h=0.1,
)  # fmt: skip
# With its usual eps Adam makes whole steps out of rounding errors.
TX = optax.adam(1e-3, eps=0.1)
# Of parameters after three updates: each is at most lr / eps = 0.01 of a
# gradient of order one, whose float32 sums are good to some 1e-5.
ATOL = 1e-6
SETTINGS = dict(ema_decay=0.9, ema_warmup=True)


@dataclasses.dataclass(frozen=True)
class Quadratic:
  """A task whose gradient is known: mean of (w - x)^2 with weights."""

  def loss(self, params, extra, batch, *, key, step, train):
    del key, step, train
    value = jnp.square(params["w"] - batch["x"])
    terms = {
      "square": base.Term(value, batch["weight"]),
      "half": base.Term(value, batch["weight"], 0.5),
      "logged": base.Term(batch["x"], jnp.ones_like(batch["x"]), 0),
    }
    return terms, {"calls": extra["calls"] + 1}


def quadratic() -> state.TrainState:
  extra = {"calls": jnp.int32(0)}
  return state.create({"w": jnp.float32(1.0)}, extra, optax.sgd(0.1))


BATCH = {
  "x": jnp.asarray([0.0, 2.0, 5.0, 7.0]),
  "weight": jnp.asarray([1.0, 1.0, 0.0, 2.0]),
}


def test_one_update_by_hand(key):
  step = steps.make_step(Quadratic(), optax.sgd(0.1), ema_decay=0.9)
  new, metrics = step(quadratic(), BATCH, key)
  # Weighted squares: (1 + 1 + 2 * 36) / 4 = 18.5; gradient (2 - 2 - 24) / 4.
  np.testing.assert_allclose(metrics["square"], [74.0, 4.0])
  np.testing.assert_allclose(metrics["loss"][0], 1.5 * 18.5)
  np.testing.assert_allclose(metrics["logged"], [14.0, 4.0])
  gradient = 1.5 * -6.0
  np.testing.assert_allclose(metrics["grad_norm"][0], -gradient)
  np.testing.assert_allclose(new.params["w"], 1 - 0.1 * gradient)
  np.testing.assert_allclose(new.ema["w"], 0.9 * 1 + 0.1 * 1.9, rtol=1e-6)
  assert new.step == 1 and new.extra["calls"] == 1


def test_the_first_state_has_the_types_of_the_second(key):
  """So that an update is compiled once; `jnp.full` gives way to other types."""
  params, extra = {"w": jnp.full((), 0.1)}, {"calls": jnp.int32(0)}
  first = state.create(params, extra, optax.adam(0.1))
  step = steps.make_step(Quadratic(), optax.adam(0.1), **SETTINGS)
  second, _ = jax.eval_shape(step, first, BATCH, key)
  types = [jax.tree.map(jax.typeof, now) for now in (first, second)]
  assert types[0] == types[1]


def test_warmed_up_average_forgets_the_start(key):
  step = steps.make_step(
    Quadratic(), optax.sgd(0.1), ema_decay=0.9999, ema_warmup=True
  )
  new, _ = step(quadratic(), BATCH, key)
  decay = 2 / 11
  np.testing.assert_allclose(
    new.ema["w"], decay * 1 + (1 - decay) * 1.9, rtol=1e-6
  )


def test_average_weighs_batches_and_drops_terms_without_weight():
  pairs = [
    {"a": np.array([6.0, 2.0]), "b": np.array([0.0, 0.0])},
    {"a": np.array([4.0, 8.0]), "b": np.array([0.0, 0.0])},
  ]
  assert steps.means(functools.reduce(steps.added, pairs, {})) == {"a": 1.0}


def test_padding_does_not_count_in_evaluation(key):
  evaluate = steps.make_eval_step(Quadratic())
  batch = BATCH | {"mask": jnp.asarray([1.0, 1.0, 1.0, 0.0])}
  sums = evaluate({"w": jnp.float32(1.0)}, {"calls": 0}, batch, key)
  np.testing.assert_allclose(sums["square"], [2.0, 2.0])
  assert steps.means(sums)["loss"] == pytest.approx(1.5)


@pytest.fixture(scope="module")
def images():
  return np.asarray(data.load("digits").train_images[:16])


@pytest.fixture(scope="module")
def start():
  params, extra = TASK.init(jax.random.key(0), data.load("digits"))
  return state.create(params, extra, TX)


def run(start, images, key, *, devices, accumulate=1, count=3, fsdp=False):
  mesh = sharding.make_mesh(jax.devices()[:devices])
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  places = state.of_state(start, mesh, fsdp=fsdp)
  step = jax.jit(
    steps.make_step(TASK, TX, accumulate=accumulate, **SETTINGS),
    in_shardings=(places, cut, whole),
    out_shardings=(places, whole),
  )
  now, losses = sharding.put(start, places), []
  for _ in range(count):
    batch = sharding.put_batch({"image": images}, mesh)
    now, metrics = step(now, batch, key)
    losses.append(float(metrics["loss"][0]))
  return now, losses


@pytest.fixture(scope="module")
def one_device(start, images):
  return run(start, images, jax.random.key(0), devices=1)


def assert_same(a, b, atol):
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=atol)


def test_four_devices_give_the_losses_of_one(one_device, start, images, key):
  now, losses = run(start, images, key, devices=4)
  np.testing.assert_allclose(losses, one_device[1], rtol=1e-5)
  assert_same(now.params, one_device[0].params, ATOL)
  assert_same(now.ema, one_device[0].ema, ATOL)


def device_bytes(tree, device):
  return sum(
    shard.data.nbytes
    for leaf in jax.tree.leaves(tree)
    for shard in leaf.addressable_shards
    if shard.device == device
  )


def test_a_cut_state_gives_the_losses_of_a_whole_one(
  one_device, start, images, key, monkeypatch
):
  """And every device holds about a quarter of it, before and after."""
  monkeypatch.setattr(state, "SMALLEST_CUT", 64)
  now, losses = run(start, images, key, devices=4, fsdp=True)
  np.testing.assert_allclose(losses, one_device[1], rtol=1e-5)
  assert_same(now.params, one_device[0].params, ATOL)
  for part in ("params", "ema", "opt_state"):
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(getattr(start, part)))
    for device in jax.devices()[:4]:
      held = device_bytes(getattr(now, part), device)
      assert whole / 4 <= held < 0.35 * whole


@pytest.mark.parametrize(
  "accumulate",
  [2, pytest.param(4, marks=pytest.mark.slow("compiles four gradients"))],
)
def test_accumulation_gives_the_whole_batch(
  one_device, start, images, key, accumulate
):
  now, losses = run(start, images, key, devices=2, accumulate=accumulate)
  np.testing.assert_allclose(losses, one_device[1], rtol=1e-5)
  assert_same(now.params, one_device[0].params, ATOL)


def test_the_sharded_step_equals_a_pmapped_one(one_device, start, images, key):
  """`jax.pmap` with explicit `pmean`, as older codebases are written."""
  devices = jax.devices()[:4]
  count = len(devices)

  def update(now, batch, rows):
    def loss_fn(params):
      terms, _ = TASK.loss(
        params, now.extra, batch, key=rows, step=now.step, train=True
      )
      return steps.reduce_terms(terms)[0]

    loss, gradient = jax.value_and_grad(loss_fn)(now.params)
    loss, gradient = jax.lax.pmean((loss, gradient), "data")
    updates, opt_state = TX.update(gradient, now.opt_state, now.params)
    params = optax.apply_updates(now.params, updates)
    done = now.step + 1
    decay = jnp.minimum(0.9, (1 + done) / (10 + done))
    ema = jax.tree.map(
      lambda a, p: decay * a + (1 - decay) * p, now.ema, params
    )
    return state.TrainState(done, params, ema, opt_state, now.extra), loss

  pmapped = jax.pmap(update, axis_name="data", devices=devices)
  now = jax.tree.map(lambda x: jnp.stack([x] * count), start)
  parts = jnp.asarray(images).reshape(count, -1, *images.shape[1:])
  losses = []
  for i in range(3):
    rows = keys.example_keys(keys.numbered(key, i), len(images))
    now, loss = pmapped(now, {"image": parts}, rows.reshape(count, -1))
    losses.append(float(np.asarray(loss)[0]))
  np.testing.assert_allclose(losses, one_device[1], rtol=1e-5)
  # On the host: each slice of a cut array would be a program of all devices.
  first = jax.tree.map(lambda x: np.asarray(x)[0], now)
  assert_same(first.params, one_device[0].params, ATOL)
  assert_same(first.ema, one_device[0].ema, ATOL)
