-- What a task is listed, ended and tidied up by.
ALTER TABLE tasks ADD COLUMN model_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN deadline_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN files_until INTEGER;  -- of an ended task that still has files
-- Before, a result's expiry was its first link's, a day after the end. Files are kept for thirty days.
UPDATE tasks SET snapshot = json_set(snapshot, '$.result_expires_at',
        strftime('%Y-%m-%dT%H:%M:%fZ', json_extract(snapshot, '$.result_expires_at'), '+29 days'))
    WHERE json_extract(snapshot, '$.result_expires_at') IS NOT NULL;
UPDATE tasks SET
    model_id = json_extract(snapshot, '$.model_id'),
    deadline_at = CAST(unixepoch(json_extract(snapshot, '$.deadline_at'), 'subsec') * 1000000 AS INTEGER),
    updated_at = CAST(unixepoch(json_extract(snapshot, '$.updated_at'), 'subsec') * 1000000 AS INTEGER),
    files_until = CASE WHEN json_array_length(snapshot, '$.outputs') > 0 THEN
        CAST(unixepoch(json_extract(snapshot, '$.result_expires_at'), 'subsec') * 1000000 AS INTEGER) END;
CREATE INDEX tasks_overdue ON tasks (deadline_at) WHERE waiting = 1;
CREATE INDEX tasks_outdated ON tasks (files_until) WHERE files_until IS NOT NULL;

-- Which stored files a task needs; a file that no task needs may go.
CREATE TABLE blob_uses (
    blob TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (blob, task_id)
) WITHOUT ROWID;
CREATE INDEX blob_uses_of_task ON blob_uses (task_id);
INSERT INTO blob_uses (blob, task_id)
    SELECT DISTINCT json_extract(value, '$.blob'), tasks.id FROM tasks, json_each(tasks.snapshot, '$.outputs');

-- The outbox: webhooks to be delivered, and what became of them.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER,
    snapshot TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_of_task ON deliveries (task_id);
CREATE INDEX deliveries_of_account ON deliveries (account_id, created_at);
CREATE INDEX deliveries_dead ON deliveries (created_at) WHERE state = 'dead';

-- Accounts that have changed the secret their webhooks are signed with.
CREATE TABLE signings (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    turn INTEGER NOT NULL,
    rotated_at INTEGER
) WITHOUT ROWID;

CREATE INDEX claims_expired ON claims (expires_at) WHERE expires_at IS NOT NULL;
