"""The one door to the platform: HTTP and WebSocket in, the four services behind it. It keeps nothing durable.

answers    everything public; itself `/health* /metrics /docs /openapi.json /api/v1/status`
emits      nothing
listens    auth.session.revoked, auth.tenant.*, auth.key.rotated

A request's way is the list of `steps/`:
  headers → request_id → origin → route → cors → tenant → authenticate → agree (in tenant) → revoked → admit
  → rate_limit → plan → shed → forward

main          composition root                 settings       every environment variable
server        uvicorn's protocol, with bounds  app            walks the steps, observes, refuses
route_table   which service, who, how much     paths          one resource, one path
exchange      what is known of a request       body · refuse  the client's body, problem documents
tunnel · sockets   WebSockets as bytes         upstream/      connections to services, breaker
limits/       leased quotas                    answers/       what the gateway answers itself
tenants · api_keys   what is kept in memory of auth's knowledge
"""
