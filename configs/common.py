"""Arguments behind the colon of a config file, which all of them read."""

from pseudovideo import errors
from pseudovideo.data import named

DATASETS = (*named.FACTS, "folder:PATH")


def parse_argument(arg: str, **choices: tuple[str, ...]) -> dict[str, str]:
  """Parses `name=value,name=value`; the first choice is the default.

  Args:
    arg: the text behind the colon of `--config=file.py:arg`.
    **choices: the allowed values of each name; one that ends in `:PATH` allows
      any path behind its colon.

  Returns:
    A value for every name.

  Raises:
    UserError: an unknown name or value, with the choices.
  """
  options = {name: values[0] for name, values in choices.items()}
  for part in filter(None, arg.split(",")):
    name, _, value = part.partition("=")
    allowed = errors.look_up("config argument", name, choices)
    prefixes = [a.removesuffix("PATH") for a in allowed if a.endswith("PATH")]
    if value not in allowed and not any(
      value.startswith(p) and value != p for p in prefixes
    ):
      raise errors.unknown(f"config argument {name}", value, allowed)
    options[name] = value
  return options
