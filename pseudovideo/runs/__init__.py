"""Writes and reads a run's folder: checkpoints, logs, samples, results.

May import everything up to `terminal`; nothing below it opens a run.
"""

from pseudovideo.runs.restoring import (
  Run,
  refuse_changes,
  restore,
  saved_config,
)

__all__ = ["Run", "refuse_changes", "restore", "saved_config"]
