"""What happens, as it happens: sockets, presence, shared documents, the change feed, webhooks and notifications.

owns      shared documents; webhooks and their deliveries; notifications, preferences and follows; its own copy of
          pipeline definitions and users; tickets, presence and who holds which field (in Redis)
answers   /ws, /ws/records/{record}, /ws/docs/{record}/{field}, /ws/tickets, /changes, /changes/stream, /webhooks,
          /notifications; rpc.realtime.person, rpc.realtime.admin.reseal
emits     realtime.webhook.*, realtime.notification.mail_due, realtime.tenant.purged; nodes tell each other of presence,
          focus, cursors, locks and notifications on `live.<tenant>.<what>`, of documents on `docs.<tenant>.<record>`
listens   records.record.* (one interest per tenant and node; one that leads, for webhooks and notifications),
          records.tombstone.*, records.job.*, pipelines.pipeline.*, pipelines.view.*, realtime.webhook.disabled,
          auth.role.*, auth.user.*, auth.tenant.*, auth.session.revoked
"""
