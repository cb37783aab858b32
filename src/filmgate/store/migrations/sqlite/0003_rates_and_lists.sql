-- When all that started so far is paid for at the account's, or the provider's, rate: see core.rate.
ALTER TABLE accounts ADD COLUMN free_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider_slots ADD COLUMN free_at INTEGER NOT NULL DEFAULT 0;

-- A list is filtered within the index: a row, its snapshot in it, is read only if it is wanted.
DROP INDEX tasks_of_key;
CREATE INDEX tasks_listed ON tasks (key_id, id, created_at, status, model_id, kind, dialect);
