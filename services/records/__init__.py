"""What tenants keep: records of pipelines, the relationships between them, and what became of each.

owns      records with their history and words, files, relationships, locks of fields, values that are unique, what
          removed fields held, tombstones, jobs, refused rows, merges, read models of pipelines, their types, views and
          users, counters of automatic numbers, tallies of analytics, links and forms
answers   /pipelines/{id}/records… files imports exports duplicates view-links forms,
          /records/{id}/traverse share-links, /records/{a}/shortest-path/{b}, /records/merge, /search,
          /analytics, /shared, /forms, /jobs, /imports, /exports;
          rpc.records.record, rpc.records.records, rpc.records.states, rpc.records.aggregate, rpc.records.field_update,
          rpc.records.plan, rpc.records.document, rpc.records.write_document,
          rpc.records.lock, rpc.records.renew_locks, rpc.records.unlock, rpc.records.person
emits     records.record.created updated deleted restored, records.relationship.created updated deleted,
          records.tombstone.created, records.export.streamed, records.link.created deleted,
          records.merge.created undone,
          records.job.created updated done failed cancelled, records.tenant.purged
listens   pipelines.pipeline.*, pipelines.relationship_type.*, pipelines.view.*, auth.role.*, auth.user.*,
          auth.tenant.*, its own records.job.* (every process knows what is under way)
"""
