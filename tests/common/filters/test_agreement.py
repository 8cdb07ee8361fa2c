from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.filters import Context, Schema, compile, dump, parse_tree  # noqa: A004 - as in re.compile
from libs.common.filters.folding import fold
from tests.common.filters import strategies
from tests.common.filters.table import NOW, Table, identifier

pytestmark = pytest.mark.integration

_FOLD = 'select u, casefold(u collate "pg_unicode_fast") as folded from unnest($1::text[]) u'

contexts = st.builds(
    Context,
    st.sampled_from([NOW.now, datetime(2024, 2, 29, 23, 30, tzinfo=UTC), datetime(2026, 1, 1, 0, 30, tzinfo=UTC)]),
    st.sampled_from([identifier(901), None]),
    st.sampled_from([UTC, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Kiritimati")]),
)
schemas = st.sampled_from([strategies.CONTACT, strategies.RESTRICTED])
asks = schemas.flatmap(lambda schema: st.tuples(st.just(schema), strategies.trees(schema)))


@settings(max_examples=200)
@given(strategies.records(), st.lists(asks, min_size=1, max_size=5), contexts)
def test_sql_and_python_agree(
    table: Table, records: list[dict[str, object]], asked: list[tuple[Schema, object]], context: Context
) -> None:
    """Any filter on any records passes exactly the same ones in PostgreSQL and in Python."""
    table.fill(records)
    live: dict[str, Mapping[str, object]] = {str(row["id"]): row for row in records if not row["deleted_at"]}
    contacts = [record for record in live.values() if record["pipeline_id"] == str(strategies.CONTACTS)]
    for schema, tree in asked:
        node = parse_tree(tree, schema)
        judge = compile(node, schema, context)
        expected = {str(record["id"]) for record in contacts if judge(record, live.get)}
        assert expected == table.passing(node, schema, context, strategies.CONTACTS)


@settings(max_examples=150)
@given(asks)
def test_a_dumped_filter_parses_to_itself(ask: tuple[Schema, object]) -> None:
    """The JSON tree of a filter, sent as JSON, gives the same filter again."""
    schema, tree = ask
    node = parse_tree(tree, schema)
    sent = msgspec.json.decode(msgspec.json.encode(dump(node)))
    assert node == parse_tree(sent, schema)


def test_every_code_point_folds_as_in_postgresql(table: Table) -> None:
    """Case folding is the same function in Python and in PostgreSQL, on all of Unicode."""
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    rows = table.fetch(_FOLD, characters)
    assert not [row["u"] for row in rows if fold(row["u"]) != row["folded"]]


@settings(max_examples=200)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1, max_size=20))
def test_texts_fold_as_in_postgresql(table: Table, texts: list[str]) -> None:
    """Whole texts fold alike as well: no rule looks at a character's neighbours."""
    rows = table.fetch(_FOLD, texts)
    assert [fold(text) for text in texts] == [row["folded"] for row in rows]
