"""Records of which a field is computed from very many others: they follow a little later, and once for many changes."""

from collections.abc import Collection, Mapping
from uuid import UUID

MANY = 1_000
"""From so many records on a value is not computed while somebody waits: it costs some 10 µs for each."""
CACHED = 100_000


class Heavy:
    """What a process has learned of which values are computed from very many, by computing them; it may forget."""

    def __init__(self) -> None:
        self._known: set[tuple[UUID, UUID, str]] = set()

    def learn(self, tenant_id: UUID, name: str, ids: Collection[UUID], sources: Mapping[UUID, int]) -> None:
        """Notes from how many records a field of these is computed."""
        if len(self._known) > CACHED:
            self._known.clear()
        keys = {(tenant_id, record_id, name): sources.get(record_id, 0) for record_id in ids}
        self._known.difference_update(keys)
        self._known.update(key for key, number in keys.items() if number > MANY)

    def among(self, tenant_id: UUID, ids: Collection[UUID], names: Collection[str]) -> set[UUID]:
        """Those of which any of the fields is computed from very many."""
        if not self._known:
            return set()
        return {it for it in ids if any((tenant_id, it, name) in self._known for name in names)}
