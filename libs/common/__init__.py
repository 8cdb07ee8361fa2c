"""Mechanisms used by all five processes; a closed list without business nouns.

errors · problems      kinds of errors, and their RFC 9457 documents at the edge
identity · tokens      the principal of a request, JSON Web Tokens and key sets
sealing      secrets kept with a secret that is not in the database
permissions · roles    compiled grants, and each service's copy of its tenants' roles
settings · logging · metrics · tracing · health · app      what every process has alike
postgres · sql · migrate      tenant-scoped transactions, named statements, migrations
events · outbox · bus      CloudEvents, the transactional outbox and its relay, NATS
filters      the filter language: parser, syntax tree, SQL, evaluation
edge · http · bodies · pages      the outermost layer, strict bodies, bounded lists
idempotency      one effect and one answer for one key
resilience · clock · ids      small mechanisms
"""
