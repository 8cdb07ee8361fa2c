"""Conditional requests, as everywhere."""

from libs.common.conditions import etag, unchanged, versions

__all__ = ["etag", "unchanged", "versions"]
