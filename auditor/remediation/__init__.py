"""Failing verdicts -> a plan that can be reviewed, and applied exactly."""
