-- migrate: up
-- Who builds indexes looks at what definitions ask for, also at those that were there before it began.
create policy pipelines_builder on pipelines for select to millrace_migrate using (true);

-- migrate: down
drop policy pipelines_builder on pipelines;
