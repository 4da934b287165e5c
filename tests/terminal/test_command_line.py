"""Arguments, config files and exit codes, without any command behind them."""

import pathlib
import signal
import subprocess
import sys

import pytest
from absl import flags

from configs import hvae
from pseudovideo import augmentations, errors
from pseudovideo.config import comparing, parsing, sections
from pseudovideo.terminal import command_line, run_flags
from pseudovideo.training import loop

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = f"--config={ROOT}/configs/hvae.py:preset=tiny"
WORKING = """
def get_config(arg=""):
  return {
    "title": arg,
    "data": {"name": "digits"},
    "task": {"name": "heat_hvae"},
    "train": {"steps": 3, "batch_size": 4},
  }
"""


def some_flags():
  values = flags.FlagValues()
  flags.DEFINE_enum("mood", "calm", ["calm", "wild"], "", flag_values=values)
  flags.DEFINE_integer("number", 1, "", flag_values=values)
  flags.DEFINE_string("text", None, "", flag_values=values)
  return values


def parse(*argv):
  values = some_flags()
  return values, command_line.parse(argv, values)


def refused(*argv):
  with pytest.raises(errors.UserError) as caught:
    parse(*argv)
  return str(caught.value)


@pytest.fixture
def config_file(tmp_path):
  def write(text, name="config.py"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)

  return write


def test_flags_without_a_config():
  values, config = parse("--mood=wild", "--number", "3")
  assert config is None
  assert (values.mood, values.number, values.text) == ("wild", 3, None)


def test_a_config_has_all_defaults_written_out():
  _, config = parse(CONFIG)
  expected = parsing.complete(hvae.get_config("preset=tiny"))
  assert config.raw == comparing.to_json(expected)


@pytest.mark.parametrize(
  ("arguments", "path", "expected"),
  [
    (["--config.train.steps=3"], "train.steps", 3),
    (["--config.train.steps", "3"], "train.steps", 3),
    (["-config.train.steps=3"], "train.steps", 3),
    (["--config.train.steps=3", "--config.train.steps=4"], "train.steps", 4),
    (["-config.train.steps", "3"], "train.steps", 3),
    (["--noconfig.optimizer.ema_warmup"], "optimizer.ema_warmup", False),
    (["-noconfig.optimizer.ema_warmup"], "optimizer.ema_warmup", False),
    (["--config.title=a=b"], "title", "a=b"),
    (["--config.model.multipliers=(1, 2, 3)"], "model.multipliers", [1, 2, 3]),
    (["--config.optimizer.learning_rate=1"], "optimizer.learning_rate", 1.0),
    (["--config.optimizer.ema_warmup=false"], "optimizer.ema_warmup", False),
    # The config file does not set this one: it is a default.
    (["--config.optimizer.b2=0.9"], "optimizer.b2", 0.9),
  ],
)
def test_overrides(arguments, path, expected):
  _, config = parse(*arguments, CONFIG, "--number=2")
  value = comparing.flatten(config.raw)[path]
  assert value == expected and type(value) is type(expected)


def test_another_kind_brings_its_own_fields():
  """Fields that both kinds have stay; others may be set beside the name."""
  video = f"--config={ROOT}/configs/video_diffusion.py:frames=8,preset=tiny"
  for name, field, value in (
    ("heat", "sigma_max", 7.0),
    ("blur", "rate", 0.02),
    ("high_order", "beta_max", 0.3),
  ):
    _, config = parse(
      video,
      f"--config.augmentation.{field}={value}",
      f"--config.augmentation.name={name}",
    )
    own = config.task_fields["augmentation"]
    assert type(own) is augmentations.TABLE[name]
    assert own.frames == 8 and getattr(own, field) == value
  said = refused(video, "--config.augmentation.name=heta")
  assert "'heta'; did you mean 'heat'" in said
  said = refused(
    video, "--config.augmentation.name=heat", "--config.augmentation.rate=1"
  )
  assert "no field of augmentation named 'rate'" in said


def test_a_task_and_its_augmentation_may_change_together():
  _, config = parse(
    CONFIG,
    "--config.task.name=video_diffusion",
    "--config.augmentation.name=high_order_blur",
  )
  assert config.task == "video_diffusion"
  own = config.task_fields["augmentation"]
  assert own == augmentations.make("high_order_blur")
  assert config.train.batch_size == 16
  assert "video_diffusion" in config.title and "_blur" in config.title


@pytest.mark.parametrize(
  ("override", "words"),
  [
    ("--noconfig.train.nosuch", "'nosuch'"),
    ("--noconfig.train.fsdp=1", "--config.train.fsdp=1"),
    ("--noconfig.train.steps", "train.steps must be an integer"),
    ("--noconfig.train", "train is a section"),
    ("--noconfig", "'--noconfig'"),
    ("--config.train.steps", "--config.train.steps=VALUE"),
    ("--config.title.x=3", "'title.x'"),
    ("--config.train.steps.x=3", "'train.steps.x'"),
    ("--config.data.name=None", "data.name must be a string"),
    ("--config.train.seed=4294967296", "train.seed must be an integer in"),
    (f"--config.train.steps={10**400}", "integer from 1 to 1073741824"),
    ("--config.evaluate.metrics=('fid',)", "evaluate.metrics"),
  ],
)
def test_overrides_that_are_refused(override, words):
  assert words in refused(CONFIG, override)


@pytest.mark.parametrize(
  ("argument", "task", "others"),
  [
    ("tokenizer.py:frames=1", "video_vae", {"task.image_share": 0}),
    ("video_diffusion.py:", "video_tokenizer", {"quantizer.name": "cosine"}),
    ("video_diffusion.py:frames=8", "video_tae", {}),
    ("video_diffusion.py:", "image_diffusion", {}),
    ("video_vae.py:", "video_tae", {}),
    ("hvae.py:", "image_diffusion", {}),
  ],
)
def test_another_task_gets_no_fields_that_nobody_set(argument, task, others):
  overrides = {"task.name": task} | others
  _, config = parse(
    f"--config={ROOT}/configs/{argument}",
    *(f"--config.{path}={value}" for path, value in overrides.items()),
  )
  config.make_task((128, 128, 1))
  name = config.raw["task"]["name"]
  assert name == task and f"task {name} instead of" in config.title


def test_fields_may_be_set_to_none_again():
  blur = f"--config={ROOT}/configs/video_diffusion.py:augmentation=blur"
  rate = "--config.augmentation.rate"
  for arguments, expected in (
    ([f"{rate}=0.02"], 0.02),
    ([f"{rate}=0.02", f"{rate}=None"], None),
    ([f"{rate}=None", f"{rate}=0.02"], 0.02),
  ):
    _, config = parse(blur, *arguments)
    assert config.raw["augmentation"]["rate"] == expected
  said = refused(blur, f"{rate}=slow")
  assert "augmentation.rate must be None, or a finite number" in said


def test_an_older_name_is_answered_with_the_new_one():
  said = refused(CONFIG, "--config.task.last_step=bernoulli")
  assert said.endswith("is called task.reconstruction_likelihood now.")


def test_ways_to_name_a_config(config_file):
  spec = f"{config_file(WORKING)}:some=argument:here"
  for argv in ([f"--config={spec}"], ["--config", spec], [f"-config={spec}"]):
    _, config = parse(*argv)
    assert config.title == "some=argument:here"
    assert config.train.log_every == sections.TrainConfig.log_every


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("x = 1", ["get_config"]),
    ("def get_config(arg):\n  return {", ["SyntaxError"]),
    ("import no_such", ["ModuleNotFoundError", "line 1", "no_such"]),
    (
      "def get_config(arg):\n  x = 1\n  return x / 0",
      ["ZeroDivisionError", "line 3"],
    ),
    ("def get_config(): pass", ["TypeError", "get_config()"]),
    ("def get_config(arg): return 3", ["ConfigDict", "3"]),
  ],
)
def test_config_files_that_do_not_work(config_file, text, words):
  path = config_file(text)
  said = refused(f"--config={path}")
  assert all(word in said for word in (path, *words))


def test_configs_that_do_not_work(config_file):
  """Configs that a working file returns are refused."""
  for returned, words in (
    ("{}", "heat_hvae, image"),
    ("{'train': 3}", "train"),
  ):
    path = config_file(f"def get_config(arg): return {returned}")
    assert words in refused(f"--config={path}")


def test_a_sentence_of_the_config_file_stays_as_it_is(config_file):
  path = config_file(
    "from pseudovideo import errors\n"
    "def get_config(arg): raise errors.UserError('Say please.')"
  )
  assert refused(f"--config={path}") == "Say please."


def test_no_such_config_file(config_file):
  yaml = config_file("title: yaml", "config.yaml")
  for name in ("configs", "", "no_such.py", "configs/hvae", yaml):
    assert repr(name) in refused(f"--config={name}")


@pytest.mark.parametrize(
  ("argument", "words"),
  [
    ("--mod=calm", ["'--mod'", "'--mood'"]),
    ("--mood=wilt", ["--mood", "'wilt'", "calm, wild"]),
    ("--number=1.5", ["--number", "'1.5'"]),
    ("--number=", ["--number", "''"]),
    ("--text", ["--text"]),
    ("--flagfile=no_such", ["no_such"]),
    ("calm", ["'calm'"]),
    ("--config", ["--config"]),
    ("--config.train.steps=3", ["--config=FILE.py"]),
  ],
)
def test_flags_that_are_wrong(argument, words):
  assert all(word in refused(argument) for word in words)
  if not argument.startswith("--config"):
    beside = refused(CONFIG, argument)
    assert all(word in beside for word in words), "also beside a config"


def test_long_values_are_shortened_in_messages():
  for value in ("x" * 9999, "9" * 9999):
    for argument in ("--config.train.seed", "--number", "--mood"):
      assert len(refused(CONFIG, f"{argument}={value}")) < 300
    assert len(refused(CONFIG, value)) < 300


def test_the_wrong_one_of_two_overrides_is_named():
  good, bad = "--config.train.steps=3", "--config.train.steps=4.0"
  assert refused(CONFIG, good, bad).endswith("got '4.0'.")
  assert refused(CONFIG, bad, good).endswith("got '4.0'.")


@pytest.mark.parametrize(
  ("error", "code", "words"),
  [
    (errors.UserError("Write it so."), 2, ["Error: Write it so.\n"]),
    (errors.RunError("The loss is nan."), 1, ["Error: The loss is nan.\n"]),
    (PermissionError(13, "Permission denied", "/a/b"), 1, ["/a/b", "denied"]),
    (OSError(28, "No space left on device", "/a/b"), 1, ["/a/b", "No space"]),
  ],
)
def test_exit_codes_of_errors(capsys, error, code, words):
  def command(argv):
    raise error

  assert command_line.exit_code(command, []) == code
  out, said = capsys.readouterr()
  assert out == "" and said.count("\n") == 1
  assert all(word in said for word in words)


def test_exit_codes_without_errors(capsys):
  def interrupted(argv):
    raise KeyboardInterrupt

  assert command_line.exit_code(lambda argv: len(argv), ["a", "b"]) == 2
  assert command_line.exit_code(interrupted, []) == 128 + signal.SIGINT
  assert "Interrupted" in capsys.readouterr().out


def test_a_defect_of_the_program_is_not_hidden():
  def command(argv):
    raise ValueError("a bug")

  with pytest.raises(ValueError, match="a bug"):
    command_line.exit_code(command, [])


def test_help(capsys):
  for argv in (["--help"], ["-h"], [CONFIG, "-help"]):
    assert command_line.asks_for_help(argv, "What it does.", some_flags())
    assert "What it does." in capsys.readouterr().out
  assert not command_line.asks_for_help([CONFIG], "", some_flags())
  values = flags.FlagValues()
  run_flags.define(values)
  assert command_line.asks_for_help(["-h"], "What it does.", values)
  assert {"--workdir", "--step", "--data_dir"} <= set(
    capsys.readouterr().out.split()
  )
  assert capsys.readouterr().out == ""


def test_the_sentence_after_a_signal():
  outcome = loop.Outcome(7, signal.SIGTERM)
  said = command_line.stop_sentence(outcome)
  assert "SIGTERM" in said and "step 7" in said and said.endswith(".")


def test_a_line_of_the_log_is_printed_once():
  """Also where a library has logged before a command begins."""
  program = (
    "from absl import logging; from pseudovideo.terminal import command_line\n"
    "def run(argv):\n  command_line.set_up()\n  logging.info('line')\n"
    "  return 0\n"
    "logging.vlog(1, 'early')\n"
    "command_line.exit_code(run, [])"
  )
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  assert done.stderr.split() == ["line"]
