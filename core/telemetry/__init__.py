"""Traces and the usage ledger."""
