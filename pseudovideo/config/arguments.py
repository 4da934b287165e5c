"""Arguments behind the colon of a config file, which read them by `parse`."""

from pseudovideo import data, errors

# A user's own set, in `data.SETS`, is allowed too.
DATASETS = (*data.FACTS, "folder:PATH")


def parse(arg: str, **choices: tuple[str, ...]) -> dict[str, str]:
  """Parses `name=value,name=value`; the first choice is the default.

  Args:
    arg: the text behind the colon of `--config=file.py:arg`.
    **choices: the allowed values of each name; one that ends in `:PATH` allows
      any path behind its colon.

  Returns:
    A value for every name.

  Raises:
    UserError: an unknown name or value, with the choices, or a name that is
      given twice.
  """
  given: dict[str, str] = {}
  for part in filter(None, arg.split(",")):
    name, _, value = part.partition("=")
    allowed = set(errors.look_up("config argument", name, choices))
    if name == "dataset":
      allowed |= data.SETS.keys() - {"folder"}
    paths = tuple(a.removesuffix("PATH") for a in allowed if ":PATH" in a)
    if value in paths or not (value in allowed or value.startswith(paths)):
      raise errors.unknown(f"config argument {name}", value, allowed)
    if name in given:
      raise errors.UserError(
        f"The config argument {name} is given twice, as {given[name]!r} and "
        f"{value!r}; leave one of them out."
      )
    given[name] = value
  return {name: values[0] for name, values in choices.items()} | given
