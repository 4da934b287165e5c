import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.diffusion.process import Process


def test_what_goes_together():
  for fields in (
    {},
    {"schedule": "cosine", "steps": 2},
    {"steps": 21, "timesteps": "loss_second_moment"},
    {"variance": "learned", "loss": "hybrid"},
    {"variance": "learned", "loss": "vlb"},
    {"variance": "fixed_small", "loss": "vlb"},
  ):
    process = Process(**fields)
    process.check()
    assert process.betas().shape == (process.steps,)
    assert 0 < process.betas().min() <= process.betas().max() < 1


@pytest.mark.parametrize(
  ("fields", "field", "words"),
  [
    ({"steps": 20}, "process.steps", "above 20 for the linear schedule"),
    ({"loss": "hybrid"}, "process.loss", "'learned'"),
    ({"variance": "learned"}, "process.variance", "not trained"),
  ],
)
def test_what_does_not(fields, field, words):
  with pytest.raises(errors.UserError) as error:
    Process(**fields).check()
  assert field in str(error.value) and words in str(error.value)


def test_the_limit_of_the_linear_schedule_is_sharp():
  assert np.isclose(Process(steps=20).betas()[-1], 1.0)
