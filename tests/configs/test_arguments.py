"""Arguments behind the colon of a config file, and what is refused there."""

import pytest

from configs import (
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo import data, errors
from pseudovideo.config import arguments, parsing
from tests.configs import config_files as files


def refused(module, argument):
  with pytest.raises(errors.UserError) as caught:
    module.get_config(argument)
  return str(caught.value)


@pytest.mark.parametrize("module", files.ARGUMENTS, ids=lambda m: m.__name__)
def test_the_first_choices_are_the_defaults(module):
  chosen = ",".join(
    f"{name}={values[0]}" for name, values in files.ARGUMENTS[module].items()
  )
  assert (
    module.get_config("") == module.get_config() == module.get_config(chosen)
  )


def test_a_folder_reaches_the_data_section():
  config = hvae.get_config("dataset=folder:some/where?size=32,preset=tiny")
  assert config.data.name == "folder:some/where?size=32"


@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize(
  "path",
  [
    *(
      "a,b",
      "a, b, c",
      ",a",
      "a,,b",
      "a,b?c",
      "a,b=c d",
      "a:b,c",
      "a,folder:b",
    ),
    *("a,b[0]", "a,\u00e9", 'a,"b"', "a,b#%", "a\n,b"),
  ],
)
def test_paths_with_commas(tmp_path, path: str, there: bool):
  folder = tmp_path / path
  if there:
    folder.mkdir()
  elif "=" in path:
    pytest.skip("it reads like an argument")
  for query in ("", "?size=32"):
    name = f"folder:{folder}{query}"
    for argument in (
      f"dataset={name}",
      f"dataset={name},preset=tiny",
      f"preset=tiny,dataset={name},encoder=learned",
    ):
      assert hvae.get_config(argument).data.name == name
  name = f"videos:{folder}?size=16"
  config = video_vae.get_config(f"dataset={name},frames=5,preset=tiny")
  assert config.data.name == f"{name}&frames=5"


def test_paths_with_commas_and_arguments(tmp_path):
  """What exists decides; else a part `name=` is an argument."""
  folder = tmp_path / "a,preset=tiny"
  argument = f"dataset=folder:{folder}"
  config = hvae.get_config(argument)
  assert config.data.name == f"folder:{tmp_path / 'a'}"
  folder.mkdir()
  assert hvae.get_config(argument).data.name == f"folder:{folder}"
  (tmp_path / "a").mkdir()
  assert hvae.get_config(argument).data.name == config.data.name
  for wrong in ("prset=tiny", "frames=3", "prset=tiny,preset=tiny"):
    said = refused(hvae, f"dataset=folder:{tmp_path / 'a'},{wrong}")
    assert "dataset, encoder, network, preset" in said
  (tmp_path / "b,prset=tiny").mkdir()
  argument = f"dataset=folder:{tmp_path / 'b'},prset=tiny,preset=tiny"
  assert hvae.get_config(argument).data.name.endswith("b,prset=tiny")


def test_the_size_in_a_name_chooses_the_network():
  for module in (hvae, video_diffusion):
    sized, digits = (
      module.get_config(f"dataset={name}")
      for name in ("folder:some/where?size=8", "digits")
    )
    assert sized.model == digits.model and sized.train == digits.train


def test_a_set_of_a_users_own(monkeypatch):
  monkeypatch.setitem(data.SETS, "mine", lambda path, data_dir: None)
  assert hvae.get_config("dataset=mine").data.name == "mine"
  monkeypatch.setitem(data.FACTS, "mine", data.Facts((8, 8, 1)))
  for module in files.ARGUMENTS:
    mine, digits = (
      module.get_config(f"dataset={name}").model for name in ("mine", "digits")
    )
    assert mine == digits
  assert "mine" in refused(hvae, "dataset=mnie")


@pytest.mark.parametrize(
  ("argument", "allowed"),
  [
    ("preset=tny", "paper, small, tiny"),
    ("encoder=", "heat, learned"),
    ("dataset=folder:", "celeb_a, cifar10, digits, folder:PATH, mnist"),
    ("datset=digits", "dataset, encoder, network, preset"),
    ("digits", "dataset, encoder, network, preset"),
  ],
)
def test_bad_arguments_list_the_choices(argument, allowed):
  assert allowed in refused(hvae, argument)


def test_arguments_may_come_in_any_order_and_once():
  choices = dict(a=("x", "y"), b=("0", "1", "2"), c=("only",))
  parsed = arguments.parse("b=1,a=y", **choices)
  assert parsed == {"a": "y", "b": "1", "c": "only"}
  for twice in ("b=2,a=y,b=1", "b=1,b=1"):
    with pytest.raises(errors.UserError, match="b is given twice"):
      arguments.parse(twice, **choices)


def test_the_small_published_network_belongs_to_the_paper_preset():
  said = refused(hvae, "network=small,preset=tiny")
  assert "network=small" in said and "preset=paper" in said


def test_one_frame_has_no_augmentation():
  for name in ("high_order", "blur"):
    said = refused(video_diffusion, f"frames=1,augmentation={name}")
    assert "frames=1" in said and f"augmentation={name}" in said


def test_lengths_that_only_a_tae_has():
  for frames in video_vae.TAE_FRAMES:
    said = refused(video_vae, f"frames={frames}")
    assert f"frames={frames} needs network=tae" in said
    assert "5, 9, 17, 1" in said


@pytest.mark.parametrize("query", ["", "?size=16&frames=9", "?interval=2"])
def test_clips_need_a_side_and_one_number_of_frames(query):
  name = f"videos:some/where{query}"
  said = refused(video_vae, f"dataset={name},frames=9")
  if "frames" in query:
    assert repr(name) in said, "quoted as it was given"
  else:
    assert "size" in said


@pytest.mark.parametrize(
  ("module", "options"),
  [
    (hvae, {"encoder": "heat"}),
    (hvae, {"encoder": "learned"}),
    (video_diffusion, {"frames": "1"}),
    (video_diffusion, {"frames": "4"}),
    (tokenizer, {"frames": "8"}),
    (token_prior, {"order": "next"}),
    (token_prior, {"order": "masked"}),
    (latent_diffusion, {}),
  ],
)
def test_tasks_of_images_refuse_clips(module, options):
  raw = files.load(module, dict(dataset="digits", preset="tiny") | options)
  raw.data.name = "videos:some/where?size=8&frames=5"
  with pytest.raises(errors.UserError, match=raw.task.name) as caught:
    parsing.parse(raw)
  assert raw.data.name in str(caught.value)


@pytest.mark.parametrize(
  ("dataset", "section", "fields", "said"),
  [
    ("videos:w?size=64", "augmentation", dict(name="blur"), "identity"),
    ("videos:w?size=64", "augmentation", dict(frames=5), "must be 9 with"),
    ("digits", "augmentation", dict(name="identity"), "must be 1 with"),
    ("videos:w?size=64", "task", dict(order="reversed"), "task.order"),
  ],
)
def test_clips_are_as_they_are(dataset, section, fields, said):
  raw = video_vae.get_config(f"dataset={dataset},frames=9")
  raw[section].update(fields)
  if dataset == "digits":
    del raw.augmentation.rate
  with pytest.raises(errors.UserError, match=said):
    parsing.parse(raw).make_task((64, 64, 3))
