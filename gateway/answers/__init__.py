"""What the gateway answers itself.

operating   /health, /health/live, /health/ready, /metrics
status      /api/v1/status and /api/health: all services at a glance
openapi     /openapi.json: the services' documents merged
docs        /docs: that document as a page, without any request to the outside
"""
