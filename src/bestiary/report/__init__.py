"""One self-contained HTML page for a run, or for several side by side, made from run folders alone."""

from bestiary.report.comparison import write_comparison
from bestiary.report.page import write_report

__all__ = ["write_comparison", "write_report"]
