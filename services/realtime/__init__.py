"""What happens, as it happens: sockets, presence, the change feed, and webhooks.

owns      webhooks and their deliveries; its own copy of pipeline definitions; tickets and presence (in Redis)
answers   /ws, /ws/records/{record}, /ws/tickets, /changes, /webhooks
emits     realtime.webhook.*; nodes tell each other of presence, focus and cursors on `live.<tenant>.<what>`
listens   records.record.* (one interest per tenant and node, and one that leads for webhooks), pipelines.pipeline.*,
          auth.role.*, auth.user.*, auth.session.revoked
"""
