-- Times are microseconds since 1970, money is micro-credits, JSON is text, ids compare bytewise.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    balance INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    chain_seq INTEGER NOT NULL DEFAULT 0,
    chain_head BLOB NOT NULL,
    slots INTEGER NOT NULL DEFAULT 0 CHECK (slots >= 0),      -- admitted tasks that have not ended
    waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),  -- queued tasks that are not admitted
    admitted INTEGER NOT NULL DEFAULT 0,                      -- when a task of it was admitted last
    CHECK (balance >= held)
);

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
);

-- The snapshot is the whole task; the other columns are what the store itself asks by, and what is
-- its own business: who waits, who is admitted, and which worker may write.
CREATE TABLE tasks (
    id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    key_id TEXT NOT NULL,
    dialect TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    lease_no INTEGER NOT NULL DEFAULT 0,
    provider TEXT NOT NULL,
    priority INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    admitted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    snapshot TEXT NOT NULL
);
CREATE INDEX tasks_of_key ON tasks (key_id, id);
CREATE INDEX tasks_waiting ON tasks (provider, account_id, priority DESC, id) WHERE waiting = 1;

-- Every saved change of a task is one event, numbered by the version it made.
CREATE TABLE events (
    task_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    status TEXT NOT NULL,
    phase TEXT,
    progress INTEGER NOT NULL,
    PRIMARY KEY (task_id, seq)
) WITHOUT ROWID;

CREATE TABLE attempts (
    task_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    provider TEXT NOT NULL,
    intent_at INTEGER,
    remote_id TEXT,
    outcome TEXT,
    upstream_cost TEXT,
    closed_at INTEGER,
    PRIMARY KEY (task_id, n)
) WITHOUT ROWID;

CREATE TABLE provider_slots (
    provider TEXT NOT NULL PRIMARY KEY,
    used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),        -- open attempts
    waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0)   -- queued tasks that are not admitted
) WITHOUT ROWID;

-- Admitted tasks with something still to do: to be run, or an attempt to be closed.
CREATE TABLE jobs (
    task_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE transfers (
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    releases INTEGER NOT NULL CHECK (releases >= 0),
    task_id TEXT,
    memo TEXT NOT NULL,
    at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (account_id, seq)
);
CREATE TRIGGER transfers_stay BEFORE UPDATE ON transfers
BEGIN SELECT raise(ABORT, 'a transfer is never changed'); END;
CREATE TRIGGER transfers_remain BEFORE DELETE ON transfers
BEGIN SELECT raise(ABORT, 'a transfer is never deleted'); END;

CREATE TABLE claims (
    key_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    token TEXT NOT NULL,
    task_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (key_id, namespace, token)
) WITHOUT ROWID;

CREATE TABLE blobs (
    id TEXT NOT NULL PRIMARY KEY,
    output TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
