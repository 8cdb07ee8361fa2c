"""Rate limits that hold across gateways, at almost no cost: quotas are leased, not asked for on each request.

policy    what is allowed: a rate and a burst
stores    the generic cell rate algorithm (GCRA, ITU-T I.371) in Redis, and in memory while Redis is away
lease     spends leased requests locally
gcra.lua  the one script
"""
