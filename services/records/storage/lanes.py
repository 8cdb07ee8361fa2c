"""Connections for statements whose plan is the same whatever is asked, made once, of one core."""

from libs.common.postgres import Lane

_SETTINGS = (
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
)
STEADY = Lane("steady", _SETTINGS)
"""Ranges of indexes, and what leads from key to key."""
WORDS = Lane(
    "words",
    (
        *_SETTINGS,
        ("enable_indexscan", "off"),
        ("statement_timeout", "2000"),
        ("pg_trgm.similarity_threshold", "0.2"),
    ),
)
"""What is found by its words: never a tenant's rows one by one in the hope that enough of them will do, and ended when
it takes longer. Two letters that changed places leave of six a quarter of the trigrams."""
