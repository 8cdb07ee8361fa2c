from collections.abc import Collection
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.postgres import Database
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.rules import MAX_RULES, Rule, rule_faults
from services.pipelines.usecases import pipelines

Versions = Collection[int] | None


async def add(database: Database, caller: Caller, pipeline_id: UUID, rule: Rule, expected: Versions) -> Pipeline:
    """Adds a rule; records that are there are held to it when they are next changed."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        if len(old.rules) >= MAX_RULES:
            raise Conflict(f"There are {MAX_RULES} rules, as many as there may be", code="too-many")
        _check(rule, old)
        return await pipelines.write(connection, caller, "updated", replace(old, rules=(*old.rules, rule)))


async def change(
    database: Database, caller: Caller, pipeline_id: UUID, rule_id: UUID, given: dict[str, Any], expected: Versions
) -> Pipeline:
    """Changes what is given of a rule."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        new = replace(named(old, rule_id), **given)
        _check(new, old)
        rules = tuple(new if rule.id == rule_id else rule for rule in old.rules)
        if rules == old.rules:
            return old
        return await pipelines.write(connection, caller, "updated", replace(old, rules=rules))


async def remove(database: Database, caller: Caller, pipeline_id: UUID, rule_id: UUID, expected: Versions) -> Pipeline:
    """Takes a rule away."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        named(old, rule_id)
        rules = tuple(rule for rule in old.rules if rule.id != rule_id)
        return await pipelines.write(connection, caller, "updated", replace(old, rules=rules))


def named(pipeline: Pipeline, rule_id: UUID) -> Rule:
    """The rule of that id."""
    found = next((rule for rule in pipeline.rules if rule.id == rule_id), None)
    if found is None:
        raise NotFound("There is no such rule")
    return found


def _check(rule: Rule, pipeline: Pipeline) -> None:
    if faults := list(rule_faults(rule, pipeline.fields, "")):
        raise Invalid("The rule is not valid", errors=faults)
