"""What happens, as it happens: sockets, presence, and the change feed.

owns      its own copy of pipeline definitions; tickets and presence (in Redis)
answers   /ws, /ws/records/{record}, /ws/tickets, /changes
emits     nothing; nodes tell each other of presence, focus and cursors on `live.<tenant>.<what>`
listens   records.record.* (one interest per tenant and node), pipelines.pipeline.*, auth.role.*, auth.session.revoked
"""
