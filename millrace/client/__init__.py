"""A client of the public API: requests, sockets, and changes that are followed through breaks.

async with Api("https://acme.example.com") as api:
await api.sign_in(email, password)
async for record in records(api, pipeline_id, {"filter[score][gte]": 50}):
...
async for change in watch(api, f"pipeline:{pipeline_id}", since=api.position):
...
"""

from millrace.client.api import Api, ApiError
from millrace.client.live import Live, NotHeard
from millrace.client.records import Record, records
from millrace.client.watch import Change, Refused, watch

__all__ = ["Api", "ApiError", "Change", "Live", "NotHeard", "Record", "Refused", "records", "watch"]
