"""`python -m deploy.version 0.2.0`: fails unless the project, the charts and the images' default tag say this version.

`python -m deploy.version --set 0.2.0` makes them say it. The standard library alone: a release asks before installing.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Where the version stands, and the pattern whose first group it is.
PLACES = {
    "pyproject.toml": r'(?m)^version = "(\d+\.\d+\.\d+)"$',
    "deploy/Dockerfile": r"(?m)^ARG VERSION=(\d+\.\d+\.\d+)$",
    "deploy/compose/docker-compose.yml": r"MILLRACE_TAG:-(\d+\.\d+\.\d+)\}",
    "deploy/compose/env.head": r"(?m)^MILLRACE_TAG=(\d+\.\d+\.\d+)$",
    "deploy/compose/.env.example": r"(?m)^MILLRACE_TAG=(\d+\.\d+\.\d+)$",
    "Taskfile.yml": r"MILLRACE_TAG:-(\d+\.\d+\.\d+)\}",
}
_CHART = r"(?m)^(?:version|appVersion): (\d+\.\d+\.\d+)$|\bversion: (\d+\.\d+\.\d+)(?=$|,)"


def places(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each file that says the version, and the pattern by which it is found."""
    yield from ((root / name, pattern) for name, pattern in PLACES.items())
    yield from ((path, _CHART) for path in sorted((root / "deploy" / "helm").glob("*/Chart.yaml")))


def said(root: Path = ROOT) -> dict[Path, set[str]]:
    """The versions that each file says."""
    return {
        path: {match[match.lastindex or 0] for match in re.finditer(pattern, path.read_text())}
        for path, pattern in places(root)
    }


def change(version: str, root: Path = ROOT) -> None:
    """Makes every file say this version."""
    for path, pattern in places(root):
        path.write_text(
            re.sub(pattern, lambda match: match[0].replace(match[match.lastindex or 0], version), path.read_text())
        )


def current(root: Path = ROOT) -> str:
    """The project's version."""
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def main(arguments: list[str]) -> None:
    """Sets or checks."""
    version = arguments[-1] if arguments else current()
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        sys.exit(f"{version} is no version: give one such as 0.2.0")
    if arguments[:1] == ["--set"]:
        change(version)
    wrong = [
        f"{path.relative_to(ROOT)}: {', '.join(sorted(found)) or 'none'}"
        for path, found in said().items()
        if found != {version}
    ]
    if wrong:
        sys.exit("\n".join([f"These do not say {version}:", *wrong]))


if __name__ == "__main__":
    main(sys.argv[1:])
