"""HTML reports: `page.Report` for any, `run.run_report` for one run."""

from pseudovideo.report.page import Report as Report
