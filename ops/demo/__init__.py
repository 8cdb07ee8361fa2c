"""The demo: real countries, airports and cities and a small CRM, loaded through the public API; and a story on them."""
