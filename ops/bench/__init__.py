"""The benchmark: the platform's paths against a bare uvicorn and asyncpg application, in one run, as ratios.

`stage` starts a throw-away platform with the demo in it and the bare application beside it; `generator` and `listeners`
are the other side, processes of their own; `requests`, `sockets` and `traversal` measure; `report` tells.
"""
