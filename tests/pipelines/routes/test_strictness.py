from libs.common.bus import Bus
from tests.pipelines.conftest import Service, announced


async def test_a_pipeline_may_want_if_match(service: Service, bus: Bus) -> None:
    """`require_if_match` is off unless given, is changed by a patch, copied by a clone, and taken back by another."""
    plain = await service.create("Plain")
    strict = await service.create("Strict", require_if_match=True)
    assert (plain["require_if_match"], strict["require_if_match"]) == (False, True)
    changed = await service.patch(f"/pipelines/{plain['id']}", {"require_if_match": True})
    assert (changed["require_if_match"], changed["version"]) == (True, plain["version"] + 1)
    renamed = await service.patch(f"/pipelines/{plain['id']}", {"name": "Other"})
    assert renamed["require_if_match"] is True
    clone = (await service.client.post(f"/pipelines/{plain['id']}/clone")).json()
    assert clone["require_if_match"] is True
    relaxed = await service.patch(f"/pipelines/{plain['id']}", {"require_if_match": False})
    assert (relaxed["require_if_match"], (await service.read(plain))["require_if_match"]) == (False, False)
    told = [(event.data["name"], event.data["require_if_match"]) for event in await announced(bus, 6)]
    assert told == [
        ("Plain", False),
        ("Strict", True),
        ("Plain", True),
        ("Other", True),
        ("Other (copy)", True),
        ("Other", False),
    ]
