"""What a wave of operations will do, before any of it is written."""

from collections.abc import Callable
from uuid import UUID

from libs.common.errors import AppError, Fault
from services.records.domain.fields import Data
from services.records.domain.records import Change, Edge, Record
from services.records.storage import edges
from services.records.storage.uniques import Claim

Judge = Callable[[Data], list[Fault]]
"""What is wrong with data, once what follows from its relations is in it."""
Failures = dict[int, AppError]
"""Why operations cannot be done, by their index."""


class Plan:
    """What a wave will do: by index of the operation its change, its new relationships, its claims."""

    def __init__(self) -> None:
        self.changes: dict[int, Change] = {}
        self.unchanged: dict[int, Record] = {}
        self.added: dict[int, list[Edge]] = {}
        self.removed: list[edges.FieldEnd] = []
        self.claims: dict[int, list[Claim]] = {}
        self.released: list[Claim] = []
        self.given: dict[int, frozenset[str]] = {}
        self.cascaded: list[Change] = []
        self.gone: list[Edge] = []
        self.numbers: dict[int, dict[str, str]] = {}
        self.users: dict[int, list[tuple[str, UUID]]] = {}
        self.files: dict[int, list[tuple[str, UUID]]] = {}
        self.judges: dict[int, Judge] = {}
