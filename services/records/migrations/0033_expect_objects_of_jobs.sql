-- migrate: up
-- What a job is given or makes lies in the store as well: such an end is the job's, and names the object.
alter table file_ends add column object text;

-- migrate: down
alter table file_ends drop column object;
