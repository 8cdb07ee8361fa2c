"""Mechanisms used by all five processes; a closed list without business nouns.

errors · problems      kinds of errors, and their RFC 9457 documents at the edge
identity · tokens · revocations      the principal of a request, JSON Web Tokens and key sets, and which are over
sealing      secrets kept with a secret that is not in the database
permissions · roles · plans · plan_store      compiled grants and limits, and each service's copy of its tenants'
settings · logging · metrics · measures · tracing · health · app · server      what every process has alike
postgres · connections · transactions · standby · sql · migrate · ddl      pools, of one tenant at a time, migrations
cache · bus · publishing · consuming · events · outbox      Redis, NATS, CloudEvents, the outbox and its relay
tls · networks · outward      certificates, where requests come from, calls to addresses that people give
purge · persons      the end of a tenant, and what is held on a person, in every service
filters · formulas      the filter language: parser, syntax tree, SQL, evaluation; expressions of computed fields
edge · http · bodies · pages · conditions      the outermost layer, strict bodies, bounded lists
openapi · closing      the document, and which bodies refuse what they do not name
idempotency · answers · asides      one effect and one answer for one key, and questions asked on the way
buckets · resilience · clock · ids      small mechanisms
"""
