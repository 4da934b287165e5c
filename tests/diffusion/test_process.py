import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.diffusion.process import Process


@pytest.mark.parametrize(
  "fields",
  [
    {},
    {"schedule": "cosine", "steps": 2},
    {"steps": 21, "timesteps": "loss_second_moment"},
    {"variance": "learned", "loss": "hybrid"},
    {"variance": "learned", "loss": "vlb"},
    {"variance": "fixed_small", "loss": "vlb"},
  ],
)
def test_what_goes_together(fields):
  process = Process(**fields)
  process.check()
  assert process.betas().shape == (process.steps,)
  assert 0 < process.betas().min() <= process.betas().max() < 1


@pytest.mark.parametrize(
  ("fields", "field", "words"),
  [
    ({"schedule": "cosin"}, "process.schedule", "did you mean 'cosine'"),
    ({"variance": "large"}, "process.variance", "fixed_large"),
    ({"loss": "l2"}, "process.loss", "simple"),
    ({"timesteps": "importance"}, "process.timesteps", "loss_second_moment"),
    ({"steps": 0, "schedule": "cosine"}, "process.steps", "at least 2; got 0"),
    ({"steps": 20}, "process.steps", "above 20 for the linear schedule"),
    ({"loss": "hybrid"}, "process.loss", "needs process.variance 'learned'"),
    ({"variance": "learned"}, "process.variance", "not trained"),
  ],
)
def test_what_does_not(fields, field, words):
  with pytest.raises(errors.UserError) as error:
    Process(**fields).check()
  assert field in str(error.value) and words in str(error.value)


def test_the_limit_of_the_linear_schedule_is_sharp():
  assert np.isclose(Process(steps=20).betas()[-1], 1.0)
