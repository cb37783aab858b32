-- Times are microseconds since 1970, money is micro-credits, JSON is text, ids compare bytewise:
-- the same as on SQLite. Only what one process knows of another (workers, duties) goes by this server's clock.

CREATE TABLE accounts (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    balance bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    chain_seq bigint NOT NULL DEFAULT 0,
    chain_head bytea NOT NULL,
    queued bigint NOT NULL DEFAULT 0,  -- tasks that ever waited, less those that ended while they did
    CHECK (balance >= held)
) WITH (fillfactor = 50);

-- How an account stands in the queue. Only whoever admits writes it, so that admitting never waits for
-- an account's own row, the one that all its submissions queue for.
CREATE TABLE turns (
    account_id text COLLATE "C" PRIMARY KEY,
    started bigint NOT NULL,           -- of those that waited, how many were admitted
    admitted_at bigint NOT NULL,       -- when one of its tasks was admitted last
    free_at bigint NOT NULL DEFAULT 0  -- when all that started is paid for at its rate: see core.rate
) WITH (fillfactor = 50);

-- The same of a provider that has a rate.
CREATE TABLE provider_turns (
    provider text COLLATE "C" PRIMARY KEY,
    free_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE keys (
    id text COLLATE "C" PRIMARY KEY,
    identity text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts (id),
    name text NOT NULL,
    hash bytea NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);

-- The snapshot is the whole task; the other columns are what the store itself asks by, and what is
-- its own business: who waits, who is admitted, and which worker may write.
CREATE TABLE tasks (
    id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    dialect text NOT NULL,
    kind text NOT NULL,
    model_id text NOT NULL,
    lease_no integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    waiting smallint NOT NULL,
    admitted smallint NOT NULL,
    held bigint NOT NULL,
    created_at bigint NOT NULL,
    deadline_at bigint NOT NULL,
    status text NOT NULL,
    version integer NOT NULL,
    charged bigint NOT NULL,
    deleted smallint NOT NULL,
    updated_at bigint NOT NULL,
    files_until bigint,
    snapshot text NOT NULL
) WITH (fillfactor = 80);
-- A list is filtered within the index: a row, its snapshot in it, is read only if it is wanted.
CREATE INDEX tasks_listed ON tasks (key_id, id, created_at, status, model_id, kind, dialect);
CREATE INDEX tasks_waiting ON tasks (provider, account_id, priority DESC, id) WHERE waiting = 1;
CREATE INDEX tasks_admitted ON tasks (account_id) WHERE admitted = 1;
CREATE INDEX tasks_overdue ON tasks (deadline_at) WHERE waiting = 1;
CREATE INDEX tasks_outdated ON tasks (files_until) WHERE files_until IS NOT NULL;

-- Every saved change of a task is one event, numbered by the version it made.
CREATE TABLE events (
    task_id text COLLATE "C" NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    at bigint NOT NULL,
    status text NOT NULL,
    phase text,
    progress integer NOT NULL,
    PRIMARY KEY (task_id, seq)
);

-- An open attempt is a slot of its provider.
CREATE TABLE attempts (
    task_id text COLLATE "C" NOT NULL,
    n integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    intent_at bigint,
    remote_id text,
    outcome text,
    upstream_cost text,
    closed_at bigint,
    PRIMARY KEY (task_id, n)
);
CREATE INDEX attempts_open ON attempts (provider) WHERE closed_at IS NULL;

-- Processes that run tasks, and how many of each provider's they can run at a time. Who has not said
-- for a while that it lives is removed, and its jobs are free.
CREATE TABLE workers (
    id text COLLATE "C" PRIMARY KEY,
    slots jsonb NOT NULL,
    beat_at timestamptz NOT NULL,
    since timestamptz NOT NULL  -- it has beaten without a gap
) WITH (fillfactor = 50);

-- Admitted tasks with something still to do: to be run, or an attempt to be closed.
CREATE TABLE jobs (
    task_id text COLLATE "C" PRIMARY KEY,
    provider text COLLATE "C" NOT NULL,
    worker text COLLATE "C" REFERENCES workers (id) ON DELETE SET NULL
);
CREATE INDEX jobs_free ON jobs (provider, task_id) WHERE worker IS NULL;
CREATE INDEX jobs_of_worker ON jobs (worker);

-- What one process does for all of them, for as long as it says so in time.
CREATE TABLE duties (
    name text COLLATE "C" PRIMARY KEY,
    worker text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL
);

CREATE TABLE transfers (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    debit text NOT NULL,
    credit text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    releases bigint NOT NULL CHECK (releases >= 0),
    task_id text COLLATE "C",
    memo text NOT NULL,
    at bigint NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    UNIQUE (account_id, seq)
);
CREATE FUNCTION transfer_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a transfer is never changed and never deleted';
END
$$;
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION transfer_stays();

CREATE TABLE claims (
    key_id text COLLATE "C" NOT NULL,
    namespace text NOT NULL,
    token text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    expires_at bigint,
    PRIMARY KEY (key_id, namespace, token)
);
CREATE INDEX claims_expired ON claims (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE blobs (
    id text COLLATE "C" PRIMARY KEY,
    output text NOT NULL
);

-- Which stored files a task needs; a file that no task needs may go.
CREATE TABLE blob_uses (
    blob text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (blob, task_id)
);
CREATE INDEX blob_uses_of_task ON blob_uses (task_id);

-- The outbox: webhooks to be delivered, and what became of them.
CREATE TABLE deliveries (
    id text COLLATE "C" PRIMARY KEY,
    task_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    version integer NOT NULL,
    created_at bigint NOT NULL,
    next_at bigint,
    snapshot text NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_of_task ON deliveries (task_id);
CREATE INDEX deliveries_of_account ON deliveries (account_id, created_at);
CREATE INDEX deliveries_dead ON deliveries (created_at) WHERE state = 'dead';

-- Accounts that have changed the secret their webhooks are signed with.
CREATE TABLE signings (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
    turn integer NOT NULL,
    rotated_at bigint
);

CREATE TABLE secrets (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- --- one change, one statement -------------------------------------------------------------------
--
-- What `store.sqlite_commit.Writer.apply` does in a savepoint, done here in one round trip: a lock is then
-- held for as long as the work takes, and never while a packet travels. Rows are always locked in
-- this order: claims, deliveries, the task, its job, and last the account, which others queue for.

CREATE FUNCTION refuse(what text, why text, about text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'FG001', MESSAGE = why, DETAIL = what, HINT = coalesce(about, '');
END
$$;

-- What the audit recomputes: see core.ledger.applied and core.ledger.link.
CREATE FUNCTION apply_transfers_v1(account_id_ text, entries jsonb, queues integer) RETURNS accounts
LANGUAGE plpgsql AS $$
DECLARE
    account accounts;
    entry jsonb;
    transfer transfers;
    seq_ bytea;
BEGIN
    SELECT * INTO account FROM accounts WHERE id = account_id_ FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('conflict', format('there is no account %s', account_id_));
    END IF;
    FOR entry IN SELECT * FROM jsonb_array_elements(entries) LOOP
        transfer := jsonb_populate_record(NULL::transfers, entry);
        -- Before anything is computed: what was done once need not be possible again.
        PERFORM FROM transfers WHERE id = transfer.id;
        IF FOUND THEN
            PERFORM refuse('conflict', format('transfer %s exists', transfer.id));
        END IF;
        CASE transfer.kind
            WHEN 'grant' THEN
                account.balance := account.balance + transfer.amount;
            WHEN 'hold' THEN
                account.held := account.held + transfer.amount;
            WHEN 'post', 'void' THEN
                account.balance := account.balance - transfer.amount;
                account.held := account.held - transfer.releases;
        END CASE;
        IF account.balance > 1::bigint << 62 THEN
            PERFORM refuse('too_many', 'the account has as many credits as an account can have');
        ELSIF account.balance < account.held THEN
            PERFORM refuse('too_few', 'the account has too few credits for this task');
        ELSIF account.held < 0 THEN
            RAISE EXCEPTION 'more was released than was held';
        ELSIF transfer.kind IN ('post', 'void') AND transfer.amount > transfer.releases THEN
            RAISE EXCEPTION 'posted more than was held';
        END IF;
        account.chain_seq := account.chain_seq + 1;
        seq_ := convert_to(account.chain_seq::text, 'UTF8');
        account.chain_head := sha256(
            account.chain_head || '\x000000027631'::bytea  -- "v1", its length before it
            || int4send(length(seq_)) || seq_ || (entry ->> 'canonical')::bytea
        );
        INSERT INTO transfers VALUES (
            transfer.id, transfer.kind, transfer.account_id, transfer.debit, transfer.credit, transfer.amount,
            transfer.releases, transfer.task_id, transfer.memo, transfer.at, account.chain_seq, account.chain_head
        );
    END LOOP;
    UPDATE accounts SET balance = account.balance, held = account.held, chain_seq = account.chain_seq,
        chain_head = account.chain_head, queued = queued + queues
    WHERE id = account.id
    RETURNING * INTO account;
    RETURN account;
END
$$;

CREATE FUNCTION save_attempts_v1(entries jsonb) RETURNS void LANGUAGE sql AS $$
    -- What is known of a submission is never forgotten, in whatever order it comes to be known.
    INSERT INTO attempts (task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at)
    SELECT task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at
    FROM jsonb_populate_recordset(NULL::attempts, entries)
    ON CONFLICT (task_id, n) DO UPDATE SET
        intent_at = coalesce(attempts.intent_at, excluded.intent_at),
        remote_id = coalesce(attempts.remote_id, excluded.remote_id),
        outcome = coalesce(attempts.outcome, excluded.outcome),
        upstream_cost = coalesce(attempts.upstream_cost, excluded.upstream_cost),
        closed_at = coalesce(attempts.closed_at, excluded.closed_at)
$$;

CREATE FUNCTION save_uses_v1(change jsonb, task tasks, ended boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    locked bigint;
BEGIN
    IF change ? 'outputs' THEN
        LOOP
            INSERT INTO blobs (id, output)
            SELECT id, output
            FROM jsonb_populate_recordset(NULL::blobs, change -> 'outputs') ORDER BY id
            ON CONFLICT DO NOTHING;
            -- Shared, since many may need one film at a time; what is locked is not collected.
            PERFORM FROM blobs WHERE id IN (SELECT value ->> 'id' FROM jsonb_array_elements(change -> 'outputs'))
            ORDER BY id FOR KEY SHARE;
            GET DIAGNOSTICS locked = ROW_COUNT;
            -- Fewer, if one was collected in between.
            EXIT WHEN locked = (
                SELECT count(DISTINCT value ->> 'id') FROM jsonb_array_elements(change -> 'outputs')
            );
        END LOOP;
    END IF;
    IF change ? 'uses' THEN
        INSERT INTO blob_uses SELECT value, task.id FROM jsonb_array_elements_text(change -> 'uses')
        ON CONFLICT DO NOTHING;
    END IF;
    IF ended THEN
        DELETE FROM blob_uses WHERE task_id = task.id
            AND NOT (change ? 'uses' AND change -> 'uses' ? blob);
    END IF;
    IF task.deleted = 1 THEN
        DELETE FROM deliveries WHERE task_id = task.id;
    END IF;
END
$$;

CREATE FUNCTION save_claims_v1(entries jsonb, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    claim claims;
    was claims;
    replayed text;
BEGIN
    FOR claim IN SELECT * FROM jsonb_populate_recordset(NULL::claims, entries) LOOP
        -- A claim by somebody who has not committed yet is waited for here.
        INSERT INTO claims (key_id, namespace, token, task_id, fingerprint, expires_at)
        VALUES (claim.key_id, claim.namespace, claim.token, claim.task_id, claim.fingerprint, claim.expires_at)
        ON CONFLICT (key_id, namespace, token) DO UPDATE SET
            task_id = excluded.task_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
        WHERE claims.expires_at <= at;
        IF NOT FOUND THEN
            SELECT * INTO was FROM claims
            WHERE key_id = claim.key_id AND namespace = claim.namespace AND token = claim.token;
            IF was.fingerprint <> claim.fingerprint THEN
                PERFORM refuse('mismatch', claim.token, claim.namespace);
            END IF;
            replayed := coalesce(replayed, was.task_id);
        END IF;
    END LOOP;
    IF replayed IS NOT NULL THEN
        PERFORM refuse('replayed', (SELECT snapshot FROM tasks WHERE id = replayed));
    END IF;
END
$$;

-- What `free_at` is after one more start at `at`, NULL if that one may not start yet; without a rate it is
-- as it was. The rule is core.rate's: `rate` is its interval, its burst and how far ahead is believed.
CREATE FUNCTION free_after_v1(free_at bigint, at bigint, rate jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    every bigint := rate ->> 0;
    burst bigint := rate ->> 1;
BEGIN
    IF rate IS NULL THEN
        RETURN coalesce(free_at, 0);
    END IF;
    free_at := CASE
        WHEN free_at - at > (rate ->> 2)::bigint THEN at + (burst - 1) * every
        ELSE greatest(free_at, at)
    END + every;
    RETURN CASE WHEN free_at <= at + burst * every THEN free_at END;
END
$$;

CREATE FUNCTION submit_v1(change jsonb, task tasks, limits jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    admits boolean := pg_try_advisory_xact_lock(7305081440);
    account_free_at bigint;
    provider_free_at bigint;
    has_room boolean;
    starts boolean;
    account accounts;
    waiting_ bigint;
BEGIN
    -- Read after the lock: whoever had it before has committed.
    account_free_at := free_after_v1(
        (SELECT free_at FROM turns WHERE account_id = task.account_id), task.created_at, limits -> 'account_rate'
    );
    provider_free_at := free_after_v1(
        (SELECT free_at FROM provider_turns WHERE provider = task.provider), task.created_at, limits -> 'rate'
    );
    has_room := account_free_at IS NOT NULL AND provider_free_at IS NOT NULL
        -- Slots of a provider that runs on the workers' own machines are what live workers offer: NULL here.
        AND (SELECT count(*) FROM attempts WHERE provider = task.provider AND closed_at IS NULL)
            < coalesce((limits ->> 'slots')::bigint, (
                SELECT sum((slots ->> task.provider)::integer) FROM workers
                WHERE beat_at > clock_timestamp() - interval '20 s'
            ), 0)
        AND (SELECT count(*) FROM tasks WHERE account_id = task.account_id AND admitted = 1)
            < (limits ->> 'account_concurrency')::integer;
    starts := admits AND has_room
        AND NOT EXISTS (SELECT FROM tasks WHERE waiting = 1 AND provider = task.provider);
    task.lease_no := starts::integer;
    task.waiting := (NOT starts)::integer;
    task.admitted := starts::integer;
    INSERT INTO tasks (
        id, account_id, key_id, dialect, kind, model_id, lease_no, provider, priority, waiting, admitted,
        held, created_at, deadline_at, status, version, charged, deleted, updated_at, files_until, snapshot
    ) VALUES (
        task.id, task.account_id, task.key_id, task.dialect, task.kind, task.model_id, task.lease_no,
        task.provider, task.priority, task.waiting, task.admitted, task.held, task.created_at,
        task.deadline_at, task.status, task.version, task.charged, task.deleted, task.updated_at,
        task.files_until, task.snapshot
    );
    INSERT INTO events (task_id, seq, kind, at, status, phase, progress)
    SELECT task_id, seq, kind, at, status, phase, progress
    FROM jsonb_populate_recordset(NULL::events, change -> 'events');
    PERFORM save_uses_v1(change, task, false);
    IF starts THEN
        INSERT INTO attempts (task_id, n, provider) VALUES (task.id, 1, task.provider);
        INSERT INTO jobs (task_id, provider) VALUES (task.id, task.provider);
        INSERT INTO turns VALUES (task.account_id, 0, task.created_at, account_free_at)
        ON CONFLICT (account_id) DO UPDATE SET
            admitted_at = excluded.admitted_at, free_at = excluded.free_at;
        IF limits ? 'rate' THEN
            INSERT INTO provider_turns VALUES (task.provider, provider_free_at)
            ON CONFLICT (provider) DO UPDATE SET free_at = excluded.free_at;
        END IF;
    END IF;
    account := apply_transfers_v1(task.account_id, change -> 'transfers', (NOT starts)::integer);
    IF starts THEN
        RETURN 'started';
    END IF;
    waiting_ := account.queued - coalesce((SELECT started FROM turns WHERE account_id = account.id), 0) - 1;
    IF waiting_ >= (limits ->> 'account_queue')::bigint THEN
        PERFORM refuse('queue_full', format('%s tasks of this account are waiting already', waiting_));
    ELSIF (limits ->> 'queue_is_full')::boolean THEN
        PERFORM refuse('queue_full', 'too many tasks are waiting');
    END IF;
    RETURN CASE WHEN has_room THEN 'awaits_turn' ELSE 'waits' END;
END
$$;

CREATE FUNCTION drop_job_v1(task_id_ text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM jobs WHERE task_id = task_id_
        AND NOT EXISTS (SELECT FROM attempts WHERE task_id = task_id_ AND closed_at IS NULL)
$$;

CREATE FUNCTION advance_v1(change jsonb, task tasks) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    was tasks;
    ended boolean := task.status IN ('succeeded', 'failed', 'cancelled');
BEGIN
    SELECT * INTO was FROM tasks WHERE id = task.id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('conflict', format('there is no task %s', task.id));
    ELSIF was.lease_no <> (change ->> 'lease_no')::integer THEN
        PERFORM refuse('lease_lost', format('task %s was taken over', task.id));
    ELSIF was.version <> (change ->> 'was_version')::integer THEN
        PERFORM refuse('conflict', format('task %s has changed', task.id));
    END IF;
    UPDATE tasks SET status = task.status, version = task.version, charged = task.charged,
        deleted = task.deleted, updated_at = task.updated_at, files_until = task.files_until,
        snapshot = task.snapshot, waiting = CASE WHEN ended THEN 0 ELSE waiting END,
        admitted = CASE WHEN ended THEN 0 ELSE admitted END
    WHERE id = task.id;
    PERFORM save_uses_v1(change, task, ended);
    INSERT INTO events (task_id, seq, kind, at, status, phase, progress)
    SELECT task_id, seq, kind, at, status, phase, progress
    FROM jsonb_populate_recordset(NULL::events, change -> 'events');
    IF change ? 'attempts' THEN
        PERFORM save_attempts_v1(change -> 'attempts');
    END IF;
    IF ended THEN
        UPDATE attempts SET outcome = 'unsent', closed_at = task.updated_at
        WHERE task_id = task.id AND intent_at IS NULL AND closed_at IS NULL;
        PERFORM drop_job_v1(task.id);
    END IF;
    IF change ? 'transfers' OR was.waiting > 0 AND ended THEN
        PERFORM apply_transfers_v1(
            was.account_id, coalesce(change -> 'transfers', '[]'), CASE WHEN ended THEN -was.waiting ELSE 0 END
        );
    END IF;
END
$$;

-- Attempts without their task: what came to be known after it ended.
CREATE FUNCTION set_aside_v1(change jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    was record;
BEGIN
    FOR was IN
        SELECT id, lease_no, status FROM tasks
        WHERE id IN (SELECT value ->> 'task_id' FROM jsonb_array_elements(change -> 'attempts'))
        ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF was.lease_no <> (change ->> 'lease_no')::integer THEN
            PERFORM refuse('lease_lost', format('task %s was taken over', was.id));
        END IF;
    END LOOP;
    PERFORM save_attempts_v1(change -> 'attempts');
    PERFORM drop_job_v1(id) FROM tasks
    WHERE id IN (SELECT value ->> 'task_id' FROM jsonb_array_elements(change -> 'attempts'))
        AND status IN ('succeeded', 'failed', 'cancelled');
END
$$;

CREATE FUNCTION save_deliveries_v1(entries jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    delivery deliveries;
BEGIN
    FOR delivery IN SELECT * FROM jsonb_populate_recordset(NULL::deliveries, entries) LOOP
        IF delivery.version = 1 THEN
            INSERT INTO deliveries (
                id, task_id, account_id, state, version, created_at, next_at, snapshot
            ) VALUES (
                delivery.id, delivery.task_id, delivery.account_id, delivery.state, delivery.version,
                delivery.created_at, delivery.next_at, delivery.snapshot
            ) ON CONFLICT DO NOTHING;
        ELSE
            UPDATE deliveries SET state = delivery.state, version = delivery.version,
                created_at = delivery.created_at, next_at = delivery.next_at, snapshot = delivery.snapshot
            WHERE id = delivery.id AND version = delivery.version - 1;
        END IF;
        IF NOT FOUND THEN
            PERFORM refuse('conflict', format('delivery %s has changed', delivery.id));
        END IF;
    END LOOP;
END
$$;

-- Save all of a change, or nothing; see ports.store.Store.commit. `outcome` says what happened, or why
-- nothing did: then `said` is what the caller is told, and `about` which namespace it is about.
CREATE FUNCTION commit_change_v1(change jsonb, limits jsonb, OUT outcome text, OUT said text, OUT about text)
LANGUAGE plpgsql AS $$
DECLARE
    task tasks;
BEGIN
    outcome := 'done';
    IF change ? 'accounts' THEN
        INSERT INTO accounts (id, name, chain_head)
        SELECT id, name, chain_head FROM jsonb_populate_recordset(NULL::accounts, change -> 'accounts');
    END IF;
    IF change ? 'keys' THEN
        INSERT INTO keys (id, identity, account_id, name, hash, created_at, revoked_at)
        SELECT id, identity, account_id, name, hash, created_at, revoked_at
        FROM jsonb_populate_recordset(NULL::keys, change -> 'keys')
        ON CONFLICT (id) DO UPDATE SET revoked_at = coalesce(keys.revoked_at, excluded.revoked_at);
    END IF;
    IF change ? 'signings' THEN
        INSERT INTO signings (account_id, turn, rotated_at)
        SELECT account_id, turn, rotated_at
        FROM jsonb_populate_recordset(NULL::signings, change -> 'signings')
        ON CONFLICT (account_id) DO UPDATE SET turn = excluded.turn, rotated_at = excluded.rotated_at
        WHERE signings.turn < excluded.turn;
    END IF;
    IF change ? 'claims' THEN
        PERFORM save_claims_v1(change -> 'claims', (change -> 'task' ->> 'created_at')::bigint);
    END IF;
    IF change ? 'task' THEN
        task := jsonb_populate_record(NULL::tasks, change -> 'task');
        IF change ? 'was_version' THEN
            IF change ? 'deliveries' THEN
                PERFORM save_deliveries_v1(change -> 'deliveries');
            END IF;
            PERFORM advance_v1(change, task);
        ELSE
            outcome := submit_v1(change, task, limits);
        END IF;
        RETURN;
    END IF;
    IF change ? 'deliveries' THEN
        PERFORM save_deliveries_v1(change -> 'deliveries');
    END IF;
    IF change ? 'attempts' THEN
        PERFORM set_aside_v1(change);
    END IF;
    IF change ? 'transfers' THEN
        PERFORM apply_transfers_v1(value ->> 'account_id', jsonb_build_array(value), 0)
        FROM jsonb_array_elements(change -> 'transfers');
    END IF;
EXCEPTION
    WHEN SQLSTATE 'FG001' THEN
        GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, outcome = PG_EXCEPTION_DETAIL, about = PG_EXCEPTION_HINT;
    WHEN unique_violation THEN
        outcome := 'conflict';
        said := 'this exists already';
END
$$;

-- Save several changes, one after another: a refusal of one is none of the others' business.
CREATE FUNCTION commit_changes_v1(changes jsonb[], limits jsonb[])
RETURNS TABLE (outcome text, said text, about text) LANGUAGE plpgsql AS $$
BEGIN
    -- Not while a migration is being applied: half of what is done here would know its columns, and half not.
    LOCK TABLE schema_versions IN ROW EXCLUSIVE MODE;
    FOR n IN 1 .. cardinality(changes) LOOP
        SELECT * INTO outcome, said, about FROM commit_change_v1(changes[n], limits[n]);
        RETURN NEXT;
    END LOOP;
END
$$;

-- Forget those of the blobs that no task needs, and return them. One whose row is locked is being needed
-- at this moment.
CREATE FUNCTION collect_v1(asked text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    mine text[] := ARRAY(
        SELECT id FROM (SELECT id FROM blobs WHERE id = ANY (asked) ORDER BY id FOR UPDATE SKIP LOCKED) AS free
    );
BEGIN
    -- Read after the locks: whoever had one before has committed its use.
    RETURN QUERY
        WITH unneeded AS (
            SELECT id FROM unnest(asked) AS one (id)
            WHERE NOT EXISTS (SELECT FROM blob_uses WHERE blob = id)
                AND (id = ANY (mine) OR NOT EXISTS (SELECT FROM blobs WHERE blobs.id = one.id))
        ),
        forgotten AS (DELETE FROM blobs USING unneeded WHERE blobs.id = unneeded.id)
        SELECT id FROM unneeded;
END
$$;
