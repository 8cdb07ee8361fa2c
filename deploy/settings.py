"""`task settings`: writes what is told twice about the services' settings, from the Structs that define them.

A chart's `values.schema.json`, in which Helm refuses a setting that does not exist or has a wrong value, and
`compose/.env.example`. A test fails when either is stale.
"""

import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import FieldInfo

from libs.common.settings import DatabaseSettings, ServiceSettings

HERE = Path(__file__).parent
SERVICES = ("auth", "pipelines", "records", "realtime", "gateway")
# What a chart or the compose file says itself: addresses, and what follows from the image or from other values.
PLACED = {"HOST", "PORT", "VERSION", "SHUTDOWN_SECONDS", "MIGRATION_DATABASE_URL"}
# Where files lie is a value of the chart of its own, since a volume or a rule of the network goes with it.
_IN_CHARTS = PLACED | {"FILES_URL"}
_SECRET = ("_SECRET", "_PASSWORD", "_ACCESS_KEY", "_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "NATS_URL", "SMTP_URL")
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_LIMITS = {"ge": "minimum", "le": "maximum", "min_length": "minLength", "max_length": "maxLength"}


@dataclass(frozen=True)
class Setting:
    """One environment variable of a service."""

    name: str
    field: FieldInfo

    @property
    def required(self) -> bool:
        """Whether a process does not start without it."""
        return self.field.required

    @property
    def secret(self) -> bool:
        """Whether it is given as a file."""
        return self.name.endswith(_SECRET)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of its value."""
        return _schema(self.field.type)

    @property
    def default(self) -> str:
        """Its default as it stands in an environment."""
        return "" if self.field.default in (None, msgspec.NODEFAULT) else str(self.field.default)


def struct(service: str) -> type[ServiceSettings]:
    """The Struct of a service's settings."""
    module = "gateway.settings" if service == "gateway" else f"services.{service}.settings"
    found: type[ServiceSettings] = import_module(module).Settings
    return found


def settings(of: type[ServiceSettings]) -> dict[str, Setting]:
    """The settings of a Struct by the names of their variables."""
    return {field.name.upper(): Setting(field.name.upper(), field) for field in msgspec.structs.fields(of)}


def _schema(given: Any) -> dict[str, Any]:
    origin = typing.get_origin(given)
    if origin is typing.Annotated:
        base, *metas = typing.get_args(given)
        limits = {_LIMITS[key]: value for meta in metas for key, value in _limits(meta)}
        return _schema(base) | limits
    if origin is typing.Literal:
        return {"enum": list(typing.get_args(given))}
    if origin in (typing.Union, types.UnionType):
        return _schema(next(part for part in typing.get_args(given) if part is not type(None)))
    return {"type": _TYPES[given]}


def _limits(meta: msgspec.Meta) -> Iterator[tuple[str, Any]]:
    yield from ((key, value) for key in _LIMITS if (value := getattr(meta, key)) is not None)


def chart_schema(service: str) -> dict[str, Any]:
    """The values schema of a service's chart: the common one, with this service's settings."""
    schema: dict[str, Any] = json.loads((HERE / "helm" / "service.schema.json").read_text())
    known = settings(struct(service))
    schema["properties"]["config"] = _config(known)
    schema["properties"]["secrets"]["items"] = {"enum": [name for name, setting in known.items() if setting.secret]}
    if "FILES_URL" not in known:
        del schema["properties"]["files"]
    return schema


def umbrella_schema() -> dict[str, Any]:
    """The values schema of the umbrella chart, as it stands, with the settings that all services have."""
    schema: dict[str, Any] = json.loads((HERE / "helm" / "millrace" / "values.schema.json").read_text())
    schema["properties"]["global"]["properties"]["config"] = _config(settings(ServiceSettings))
    return schema


def _config(known: dict[str, Setting]) -> dict[str, Any]:
    plain = [setting for setting in known.values() if not setting.secret and setting.name not in _IN_CHARTS]
    properties = {setting.name: _config_value(setting) for setting in plain}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _config_value(setting: Setting) -> dict[str, Any]:
    """A setting's own schema, or a template whose outcome is not known yet."""
    if setting.schema == {"type": "string"}:
        return setting.schema
    return {"anyOf": [setting.schema, {"type": "string", "pattern": r"\{\{"}]}


def env_example() -> str:
    """The commented `.env.example` of the compose file."""
    head = (HERE / "compose" / "env.head").read_text().rstrip()
    shared = settings(DatabaseSettings)
    parts = [head, _section("All services", DatabaseSettings, shared)]
    told = set(shared) | set(re.findall(r"^([A-Z_]+)=", head, re.MULTILINE))
    for service in SERVICES:
        known = settings(struct(service)).items()
        own = {name: setting for name, setting in known if name not in told or _differs(setting, shared.get(name))}
        if any(_offered(setting) for setting in own.values()):
            parts.append(_section(service, struct(service), own))
    return "\n\n".join(parts) + "\n"


def _section(title: str, of: type[ServiceSettings], known: dict[str, Setting]) -> str:
    said = [f"# {line}".rstrip() for line in (getdoc(of) or "").splitlines()]
    return "\n".join([f"# ── {title}", *said, *(_line(setting) for setting in known.values() if _offered(setting))])


def _differs(setting: Setting, shared: Setting | None) -> bool:
    return shared is not None and setting.default != shared.default


def _offered(setting: Setting) -> bool:
    return not setting.required and not setting.secret and setting.name not in PLACED


def _line(setting: Setting) -> str:
    return f"# {_bounds(setting.schema)}\n#{setting.name}={setting.default}"


def _bounds(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(schema["enum"])
    limits = [
        f"{name} {schema[key]}" for key, name in (("minimum", "at least"), ("maximum", "at most")) if key in schema
    ]
    return ", ".join([schema["type"], *limits])


def outputs() -> dict[Path, str]:
    """Every written file and what has to be in it."""
    schemas = {service: chart_schema(service) for service in SERVICES} | {"millrace": umbrella_schema()}
    files = {
        HERE / "helm" / chart / "values.schema.json": json.dumps(schema, indent=2) + "\n"
        for chart, schema in schemas.items()
    }
    return files | {HERE / "compose" / ".env.example": env_example()}


def main() -> None:
    """Writes them."""
    for path, text in outputs().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
