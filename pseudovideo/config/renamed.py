"""Names that fields of saved configs had in earlier versions."""

from typing import Any

# Old -> new.
FIELDS = {"task.last_step": "task.reconstruction_likelihood"}


def translated(raw: dict[str, Any]) -> dict[str, Any]:
  """The config with today's names of its fields.

  Args:
    raw: plain dicts.
  """
  for old, new in FIELDS.items():
    section, name = old.split(".")
    fields = raw.get(section)
    if isinstance(fields, dict) and name in fields:
      fields = dict(fields)
      fields.setdefault(new.split(".")[1], fields[name])
      del fields[name]
      raw = raw | {section: fields}
  return raw
