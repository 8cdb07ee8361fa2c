"""Who is in the demo: a person for each seeded role."""

from millrace.client import Api, ApiError

TENANT = "demo"
ORGANIZATION = "Demo Company"
PASSWORD = "millrace-demo-1"  # noqa: S105 - printed for everyone to use
NAMES = {
    "owner": "Olivia Owner",
    "admin": "Adam Admin",
    "manager": "Maria Manager",
    "member": "Mehmet Member",
    "viewer": "Vera Viewer",
}


class NotReachable(Exception):
    """The demo's tenant cannot be entered; the message says what to do."""


def address(role: str) -> str:
    """The mail address of the person with a role."""
    return f"{role}@demo.test"


async def enter(api: Api) -> None:
    """Sign in as the owner, who founds the organization where it does not exist."""
    try:
        await api.sign_in(address("owner"), PASSWORD)
    except ApiError as error:
        if error.status not in (401, 404):
            raise
        await _found(api)


async def _found(api: Api) -> None:
    try:
        await api.sign_up(ORGANIZATION, TENANT, address("owner"), PASSWORD, NAMES["owner"])
    except ApiError as error:
        if error.status not in (409, 422):
            raise
        raise NotReachable(
            f"The tenant '{TENANT}' exists without the owner of the demo. Add them:\n  millrace user create "
            f"--tenant {TENANT} --email {address('owner')} --role owner --password {PASSWORD}"
        ) from error


async def invite(api: Api) -> None:
    """Create the others where they are not."""
    present = {user["email"] async for user in api.pages("/users")}
    for role, name in NAMES.items():
        if address(role) not in present:
            await api.post("/users", {"email": address(role), "name": name, "password": PASSWORD, "roles": [role]})
