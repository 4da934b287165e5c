"""HTML reports: `page.Report` for any, `run.run_report` for one run.

May import `files` and small things; is given arrays and records.
"""

from pseudovideo.report.page import Report as Report
