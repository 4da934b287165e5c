"""The table of what runs survive: promise, how it is tested, last result."""

import pathlib
from typing import Any

from experiments.publishing.sheets import Sheet
from pseudovideo.runs import results

RESULTS = pathlib.Path(__file__).parents[2] / "results" / "survival"
# Name of a row of `benchmarks.damage` -> what it is called.
DAMAGED = {
  "checkpoint": "checkpoints",
  "data_cache": "decoded data",
  "tokens_cache": "cached tokens",
  "tokens": "token folders",
  "classifier_cache": "cached classifiers",
  "features_cache": "cached features",
}


def _values(name: str) -> dict[str, Any]:
  return results.read_json(RESULTS / f"{name}.json")["values"]


def _kills() -> list[list[str]]:
  found = _values("kill")
  kill, sigterm = found["kill"], found["sigterm"]
  waiting = _values("kill_waiting")["kill"]
  same = kill["arrays"] - len(kill["arrays_differing"])
  return [
    [
      "A killed run ends in the same bits",
      f"`benchmarks.kill`: {kill['kills']} SIGKILLs at random moments, also "
      "while saving and deleting",
      f"{same} of {kill['arrays']} arrays and all {kill['lines']:,} log lines "
      "equal",
    ],
    [
      "A kill repeats at most the last interval, and the steps taken while a "
      "checkpoint was being written",
      "the same kills",
      f"at most {kill['repeated_at_most']} steps with an interval of "
      f"{kill['save_every']}",
    ],
    [
      "`train.wait_for_saves=True`: at most one interval",
      f"`--wait`: {waiting['kills']} SIGKILLs",
      f"at most {waiting['repeated_at_most']} steps",
    ],
    [
      "SIGTERM and Ctrl-C save first",
      f"{sigterm['kills']} SIGTERMs",
      f"{sigterm['repeated']} steps repeated",
    ],
  ]


def _damages() -> list[list[str]]:
  lines = []
  for name, row in (_values("damage") | _values("damage_caches")).items():
    fates = row["fates"]
    unread = fates["identical"]
    lines.append(
      [
        f"Damaged {DAMAGED[name]} are noticed and named",
        f"`benchmarks.damage`: {row['damages']} bits flipped, bytes zeroed, "
        "files cut, removed, replaced",
        f"{fates['silent']} silent"
        + (f" ({unread} in bytes that nothing reads)" if unread else ""),
      ]
    )
  return lines


# Name of a row of `benchmarks.surroundings` -> its promise and its test.
SURROUNDINGS = {
  "names": (
    "A run's folder may have any name",
    "trainings, resumed and sampled from, in folders with drawn names",
  ),
  "two": (
    "Of two trainings in one folder one is refused, and nothing is mixed up",
    "pairs of commands, one of which is killed in half of the cases",
  ),
  "data": (
    "Data that changed are refused or named, data that moved are found again",
    "folders of photos replaced, added to, removed, renamed, altered or moved",
  ),
  "homes": (
    "A run needs no home, and no cache that can be written",
    "trainings and evaluations, some as a user whom nobody knows",
  ),
}
# Promises that tests alone keep: promise, files of tests.
TESTED = (
  (
    "A terminal that is lost, full or odd ends no command; SIGHUP saves",
    ("terminal/test_output.py", "terminal/test_lost_terminals.py"),
  ),
  (
    "A log or picture that cannot be written ends no run",
    ("runs/test_log_lines.py",),
  ),
  (
    "Interrupted at any step, a log has the lines of an undisturbed run",
    ("training/test_interruptions.py",),
  ),
  (
    "A damaged log line or results.json costs itself alone",
    ("runs/test_log_lines.py", "experiments/reporting/test_damaged_records.py"),
  ),
  (
    "What cannot be scored or written is said before samples are drawn",
    ("evaluation/test_early_errors.py",),
  ),
  (
    "Leftovers of killed commands go, the umask is respected, what may not be "
    "read stays as it is",
    ("files/test_atomic.py", "runs/test_permissions.py"),
  ),
  (
    "A coordinator at a loopback address is heard on its host alone",
    ("devices/test_listening.py",),
  ),
)


def _tested() -> list[list[str]]:
  return [
    [
      promise,
      ", ".join(f"`tests/{name}`" for name in names),
      "with each change",
    ]
    for promise, names in TESTED
  ]


def _surroundings() -> list[list[str]]:
  found = _values("surroundings")
  return [
    [
      promise,
      f"`benchmarks.surroundings`: {found[name]['attacks']} {test}",
      f"{len(found[name]['wrong'])} wrong",
    ]
    for name, (promise, test) in SURROUNDINGS.items()
  ]


def survival() -> Sheet:
  """Results of `benchmarks.kill`, `.damage`, `.surroundings`, `.full_disk`."""
  disks = _values("full_disk")
  broken = sum(bool(d["left"]) for found in disks.values() for d in found)
  return Sheet(
    "What runs survive",
    ["promise", "how it is tested", "last result"],
    [
      *_kills(),
      *_damages(),
      *_surroundings(),
      *_tested(),
      [
        "A full disk leaves nothing half done and everything older whole",
        f"`benchmarks.full_disk`: {sum(map(len, disks.values()))} small disks "
        "that fill up",
        f"{broken} with something half done",
      ],
    ],
  )


TABLES = {"survival": survival}
