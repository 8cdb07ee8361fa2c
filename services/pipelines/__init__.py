"""The shapes that tenants give their data: pipelines made of typed fields, and the types of relationships.

owns      pipelines and every version of their definitions, plans of changes, removed fields, relationship types, views
answers   /pipelines (not their records), /pipelines/{id}/fields, /pipelines/{id}/rules, /pipelines/{id}/views,
          /pipelines/{id}/schema/plan, …/apply, …/rollback, /pipelines/{id}/versions, /pipelines/{id}/json-schema,
          /field-types, /relationship-types, /pipeline-templates; rpc.pipelines.definition,
          rpc.pipelines.relationship_type, rpc.pipelines.view, rpc.pipelines.json_schema, rpc.pipelines.person
emits     pipelines.pipeline.created updated deleted restored, pipelines.tenant.purged,
          pipelines.relationship_type.created updated deleted, pipelines.view.created updated deleted
listens   auth.role.* (who may do what), auth.tenant.* (plans and ends),
          records.job.* (records that follow a definition)
"""
