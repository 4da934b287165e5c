"""Fields of configs that earlier versions named otherwise, or had besides."""

from typing import Any

# Old -> new.
FIELDS = {"task.last_step": "task.reconstruction_likelihood"}
# Fields that can no longer be set; saved configs have None for them.
GONE = ("model.out_channels",)


def translated(raw: dict[str, Any]) -> dict[str, Any]:
  """The config with today's names of its fields.

  Args:
    raw: plain dicts, which stay as they are.
  """
  for old in (*FIELDS, *GONE):
    section, name = old.split(".")
    fields = raw.get(section)
    if not isinstance(fields, dict) or name not in fields:
      continue
    rest = {n: v for n, v in fields.items() if n != name}
    if old in FIELDS:
      raw = raw | {section: {FIELDS[old].split(".")[1]: fields[name]} | rest}
    elif fields[name] is None:
      raw = raw | {section: rest}
  return raw
