"""Arguments, config files and exit codes, without any command behind them."""

import pathlib
import signal

import pytest
from absl import flags

from configs import hvae
from pseudovideo import command_line, configuration, errors, train

ROOT = pathlib.Path(__file__).parents[1]
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
  expected = configuration.complete(hvae.get_config("preset=tiny"))
  assert configuration.plain(config) == expected


@pytest.mark.parametrize(
  ("arguments", "path", "expected"),
  [
    (["--config.train.steps=3"], "train.steps", 3),
    (["--config.train.steps", "3"], "train.steps", 3),
    (["-config.train.steps=3"], "train.steps", 3),
    (["--config.train.steps=3", "--config.train.steps=4"], "train.steps", 4),
    (["--config.title=a=b"], "title", "a=b"),
    (["--config.model.multipliers=(1, 2, 3)"], "model.multipliers", (1, 2, 3)),
    (["--config.optimizer.learning_rate=1"], "optimizer.learning_rate", 1.0),
    (["--config.optimizer.ema_warmup=false"], "optimizer.ema_warmup", False),
    # The config file does not set this one: it is a default.
    (["--config.optimizer.b2=0.9"], "optimizer.b2", 0.9),
  ],
)
def test_overrides(arguments, path, expected):
  _, config = parse(*arguments, CONFIG, "--number=2")
  value = configuration.flatten(configuration.plain(config))[path]
  assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize("form", ["{0}={1}", "{0} {1}", "-{0}={1}"])
def test_ways_to_name_a_config(config_file, form):
  path = config_file(WORKING)
  argv = form.format("--config", f"{path}:some=argument:here").split(" ")
  argv[0] = argv[0].replace("---", "-")
  _, config = parse(*argv)
  assert config.title == "some=argument:here"
  assert config.train.log_every == configuration.TrainConfig.log_every


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("x = 1", "defines no function get_config."),
    ("def get_config(arg):\n  return {", "SyntaxError: '{' was never closed"),
    ("import no_such", "ModuleNotFoundError at line 1: No module named 'no_"),
    (
      "def get_config(arg):\n  x = 1\n  return x / 0",
      "ZeroDivisionError at line 3: division by zero.",
    ),
    ("def get_config(): pass", "TypeError: get_config() takes 0 positional"),
    ("get_config = 3", "TypeError: 'int' object is not callable."),
    (
      "def get_config(arg): return 3",
      "must return a ConfigDict; it returned 3",
    ),
    ("def get_config(arg): return {}", "Choose one of: heat_hvae, image_dif"),
    ("def get_config(arg): return {'train': 3}", "train must be a section"),
  ],
)
def test_config_files_that_do_not_work(config_file, text, message):
  path = config_file(text)
  said = refused(f"--config={path}")
  assert message in said
  assert path in said or "must" in said or "Choose" in said


def test_a_sentence_of_the_config_file_stays_as_it_is(config_file):
  path = config_file(
    "from pseudovideo import errors\n"
    "def get_config(arg): raise errors.UserError('Say please.')"
  )
  assert refused(f"--config={path}") == "Say please."


@pytest.mark.parametrize("name", ["configs", "", "no_such.py", "configs/hvae"])
def test_no_such_config_file(name):
  assert refused(f"--config={name}") == (
    f"There is no config file {name!r}; try --config=configs/hvae.py."
  )


def test_a_config_file_of_another_kind(config_file):
  path = config_file("title: yaml", "config.yaml")
  assert refused(f"--config={path}") == f"{path!r} is not a Python file."


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--mod=calm", "no flag named '--mod'; did you mean '--mood'"),
    ("--mood=wilt", "--mood named 'wilt'; did you mean 'wild'? Choose one of"),
    ("--number=1.5", "--number must be an integer; got '1.5'."),
    ("--number=", "--number must be an integer; got ''."),
    ("--text", "Missing value for flag --text."),
    ("--flagfile=no_such", "Unable to open flagfile"),
    ("calm", "'calm' is not a flag; flags look like --workdir=DIR."),
    ("--config", "--config needs a value, as in --config=VALUE."),
    ("--config.train.steps=3", "but no --config=FILE.py was given."),
  ],
)
def test_flags_that_are_wrong(argument, message):
  assert message in refused(argument)
  if not argument.startswith("--config"):
    assert message in refused(CONFIG, argument), "also beside a config"


@pytest.mark.parametrize("value", ["x" * 9999, "9" * 9999])
def test_long_values_are_shortened_in_messages(value):
  for argument in ("--config.train.seed", "--number", "--mood"):
    assert len(refused(CONFIG, f"{argument}={value}")) < 300
  assert len(refused(CONFIG, value)) < 300


def test_the_wrong_one_of_two_overrides_is_named():
  good, bad = "--config.train.steps=3", "--config.train.steps=4.0"
  assert refused(CONFIG, good, bad).endswith("got '4.0'.")
  assert refused(CONFIG, bad, good).endswith("got '4.0'.")


@pytest.mark.parametrize(
  ("error", "code", "text"),
  [
    (errors.UserError("Write it so."), 2, "Error: Write it so.\n"),
    (errors.RunError("The loss is nan."), 1, "Error: The loss is nan.\n"),
    (
      PermissionError(13, "Permission denied", "/a/b"),
      1,
      "Error: /a/b cannot be written or read (Permission denied); choose "
      "another folder.\n",
    ),
    (
      OSError(28, "No space left on device", "/a/b"),
      1,
      "Error: /a/b cannot be written or read (No space left on device); choose "
      "another folder.\n",
    ),
  ],
)
def test_exit_codes_of_errors(capsys, error, code, text):
  def command(argv):
    raise error

  assert command_line.exit_code(command, []) == code
  assert capsys.readouterr() == ("", text)


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
  assert capsys.readouterr().out == ""


def test_the_sentence_after_a_signal():
  outcome = train.Outcome(7, signal.SIGTERM)
  assert command_line.stop_sentence(outcome) == (
    "Stopped by SIGTERM at step 7, which is saved; the same command goes on "
    "from there."
  )
