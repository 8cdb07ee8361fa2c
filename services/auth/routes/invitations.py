"""`/invitations`: people who are to join."""

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from libs.common import pages
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from libs.common.permissions import Permissions
from services.auth.routes.shapes import UserAnswer, user_answer
from services.auth.routes.users import RoleNames
from services.auth.usecases import mailed, users
from services.auth.usecases.context import Context


class InvitationInput(Input):
    """Who is to join, as a member unless roles are given. They may change their name when they do."""

    email: str
    name: str | None = None
    roles: RoleNames = msgspec.field(default_factory=lambda: ["member"])


class InvitationsController(Controller):
    """People who are to join. An invitation has the id of its user, who is `invited` until they accept."""

    path = "/invitations"
    tags = ["Invitations"]  # noqa: RUF012

    @get(summary="List open invitations")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[UserAnswer]:
        """Users who have not joined yet."""
        limit, after = pages.check_limit(limit), pages.after_id(cursor)
        found = await users.invited(auth, principal, permissions, after, limit + 1)
        total = await users.count_invited(auth, principal, permissions) if count != "none" else None
        return pages.by_id(found.users, limit, lambda it: it.id, lambda it: user_answer(it, found.catalogue), total)

    @post(summary="Invite somebody")
    async def create(
        self,
        data: JSONBody[InvitationInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> UserAnswer:
        """Mails a link that holds for seven days. The roles give nothing beyond what the one who asks may do."""
        name = data.name or data.email.partition("@")[0]
        found = await users.create(auth, principal, permissions, users.NewUser(data.email, name, None, data.roles))
        return user_answer(found.users[0], found.catalogue)

    @post("/{user_id:str}/resend", summary="Send an invitation again", status_code=202)
    async def resend(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """At most one a minute is sent; the newest link is the good one."""
        await mailed.invite_again(auth, principal, permissions, parse_id(user_id))

    @delete("/{user_id:str}", summary="Take an invitation back")
    async def withdraw(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """The link is worth nothing from now on."""
        await users.withdraw(auth, principal, permissions, parse_id(user_id))
