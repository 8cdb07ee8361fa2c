"""What tenants keep: records of pipelines, the relationships between them, and what became of each.

owns      records with their history and words, files, relationships, values that are unique, what removed fields held,
          jobs, refused rows, merges, read models of pipelines, their types and users, counters of automatic numbers
answers   /pipelines/{id}/records…, /records/{id}/traverse, /records/{a}/shortest-path/{b}, /jobs, /search,
          /pipelines/{id}/files imports exports duplicates, /imports, /exports, /records/merge;
          rpc.records.record, rpc.records.field_update, rpc.records.plan
emits     records.record.created updated deleted restored, records.relationship.created deleted,
          records.job.created updated done failed cancelled
listens   pipelines.pipeline.*, pipelines.relationship_type.*, auth.role.*, auth.user.*, auth.tenant.*
"""
