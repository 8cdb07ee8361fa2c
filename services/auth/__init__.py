"""Who may come in, and what they may do.

owns      tenants and their domains, plans and ends; users, roles and their members; sessions, refresh tokens, signing
          keys, API keys and those of devices; second factors, passkeys, identity providers and who their subjects are;
          the mail outbox, the audit log, exports and erasures of persons
answers   /auth /users /admin/users /roles /sessions /permissions /organizations /api-keys /devices /mfa /passkeys
          /sso /scim/v2 /invitations /admin/audit-log /compliance /.well-known, and for other processes
          /internal/tenants/resolve, /internal/api-keys/exchange, rpc.auth.jwks, rpc.auth.role, rpc.auth.user,
          rpc.auth.users, rpc.auth.locale, rpc.auth.limits, rpc.auth.tenant, rpc.auth.standing, rpc.auth.admin.*
emits     auth.tenant.* auth.user.* auth.role.* auth.session.revoked auth.key.rotated
listens   auth.key.rotated, so that every instance signs with the same key; pipelines.pipeline.*, whose fields
          roles name, and all other pipelines.*, realtime.webhook.*, records.job.*, records.link.*, records.merge.*,
          records.tombstone.created and records.export.streamed, for the audit log; realtime.notification.mail_due,
          which it mails; *.tenant.purged
"""
