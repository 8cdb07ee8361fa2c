"""Amounts of CPU and memory as Kubernetes and Compose write them."""

import re

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def cpu(quantity: str | float) -> float:
    """Cores."""
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def memory(quantity: str) -> int:
    """Bytes; `Mi` of Kubernetes and `m` of Compose are both 1024²."""
    match = re.fullmatch(r"(\d+)([kmg]?)i?b?", quantity.lower())
    assert match, quantity
    return int(match[1]) * _UNITS[match[2]]
