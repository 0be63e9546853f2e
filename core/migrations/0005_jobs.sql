-- Long work: a job is a function over items; what is recorded survives any end of the process.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    key TEXT,                               -- the caller's own name for it: creating it again finds it again
    title TEXT NOT NULL,
    function TEXT,                          -- module:callable; NULL: only the program that made it can run it
    parameters TEXT NOT NULL,               -- JSON object
    fingerprint TEXT NOT NULL,              -- SHA-256 of function, parameters and items
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cancelled', 'failed')),
    total INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,        -- items with an output
    failed INTEGER NOT NULL DEFAULT 0,      -- items with an error
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,               -- seconds since the epoch, as all times here
    started_at REAL,
    ended_at REAL,
    active_s REAL NOT NULL DEFAULT 0,       -- time under way, over all runs
    error TEXT,                             -- JSON: why the job as a whole failed
    lease INTEGER NOT NULL DEFAULT 0,       -- raised by every run; a run with an older number records nothing
    pid INTEGER,                            -- who runs it
    host TEXT,
    process_start TEXT,                     -- so that a reused pid is recognized
    heartbeat_at REAL,
    UNIQUE (tenant, user, key)
);
CREATE INDEX jobs_by_caller ON jobs (tenant, user, created_at);

CREATE TABLE job_items (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- results are read in this order
    key TEXT NOT NULL,                      -- an item is recorded once
    input TEXT NOT NULL,                    -- JSON
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    output TEXT,                            -- JSON
    error TEXT,                             -- JSON
    elapsed_s REAL,
    UNIQUE (job_id, position),
    UNIQUE (job_id, key)
);
