"""The table of who may do what is as it was accepted."""

import os
from pathlib import Path

import pytest

from tests.journeys import matrix
from tests.journeys.openapi import operations
from tests.support.platform import Platform

pytestmark = pytest.mark.journey

ACCEPTED = Path(__file__).parents[2] / "docs" / "permissions.md"


async def test_every_role_may_do_what_was_accepted(stack: Platform) -> None:
    """A cell that differs from docs/permissions.md is told; `./taskw permissions` accepts what is."""
    found = await matrix.document(stack.url)
    if os.environ.get("ACCEPT_PERMISSIONS") == "yes":
        ACCEPTED.write_text(found)
    accepted = set(ACCEPTED.read_text().splitlines())
    assert sorted(line for line in found.splitlines() if line not in accepted) == []
    assert sorted(accepted - set(found.splitlines())) == []


async def test_no_operation_is_open_that_should_not_be(stack: Platform) -> None:
    """What needs no token is signing in, what verifiers ask, ending mails, and what people share; nothing else is."""
    every = await operations(stack.url)
    anyone = {it.path.removeprefix("/api/v1") for it in every if {} in it.declared.get("security", ())}
    assert {path for path in anyone if not path.startswith(("/auth/", "/.well-known/"))} == {
        "/notifications/unsubscribe",
        "/shared/{token}",
        "/shared/views/{token}",
        "/forms/{token}",
    }
