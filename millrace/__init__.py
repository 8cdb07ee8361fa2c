"""Millrace for Python programs: `millrace.client` speaks to a running platform."""
