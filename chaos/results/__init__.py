"""The contract of report.json."""
