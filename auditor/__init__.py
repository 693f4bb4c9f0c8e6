"""A policy-as-code compliance auditor for Azure VM backup."""

__version__ = "0.1.0"
