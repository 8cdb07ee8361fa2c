"""What happens, as it happens: sockets, presence, the change feed, webhooks and notifications.

owns      webhooks and their deliveries; notifications, preferences and follows; its own copy of pipeline definitions;
          tickets and presence (in Redis)
answers   /ws, /ws/records/{record}, /ws/tickets, /changes, /webhooks, /notifications
emits     realtime.webhook.*, realtime.notification.mail_due; nodes tell each other of presence, focus, cursors and
          notifications on `live.<tenant>.<what>`
listens   records.record.* (one interest per tenant and node; one that leads, for webhooks and notifications),
          records.job.*, pipelines.pipeline.*, pipelines.view.*, auth.role.*, auth.user.*, auth.session.revoked
"""
