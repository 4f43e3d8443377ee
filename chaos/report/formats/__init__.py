"""Reports: each is a function ``render(report: Report) -> str``. They show, and compute nothing."""
