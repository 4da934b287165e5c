"""HTML reports: `page.Report` for any, `run.run_report` for one run.

May import `devices`, `data` and small things; knows no run.
"""

from pseudovideo.report.page import Report as Report
