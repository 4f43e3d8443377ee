"""Plan, runbook and sweep as pages."""
