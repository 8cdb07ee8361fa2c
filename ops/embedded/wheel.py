"""Where a wheel put its files, without importing it: its Python layer is not used and slow to load."""

from importlib.util import find_spec
from pathlib import Path


def files_of(package: str) -> Path:
    """The directory of an installed package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed: run ./taskw install")
    return Path(spec.origin).parent
