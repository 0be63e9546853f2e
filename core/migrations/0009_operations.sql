-- Keeping an index: what was read when, what happened to each file, which model serves, what Chroma holds.

-- The file as it was when it was last read whole: a sync need not open one that still looks the same.
CREATE TABLE files (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,              -- moves with every change, also one that puts the old mtime back
    inode INTEGER NOT NULL,
    versions TEXT NOT NULL,                 -- of loader, splitter and tokenizer, and the column mapping
    read_at REAL NOT NULL,
    PRIMARY KEY (collection_id, source)
) WITHOUT ROWID;

-- The journal: one row per sync, one per file of it.
CREATE TABLE sync_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    started_at REAL NOT NULL,               -- seconds since the epoch
    ended_at REAL,                          -- NULL: under way, or killed
    embedded INTEGER NOT NULL DEFAULT 0,
    notices TEXT NOT NULL DEFAULT '[]',
    pid INTEGER NOT NULL,                   -- who ran it
    host TEXT NOT NULL,
    process_start TEXT NOT NULL
);
CREATE INDEX sync_runs_by_collection ON sync_runs (collection_id, id);

CREATE TABLE sync_entries (
    run_id INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    status TEXT NOT NULL,                   -- added, updated, unchanged, removed, failed, skipped
    passages INTEGER NOT NULL DEFAULT 0,
    reason TEXT,                            -- JSON: code and parameters of an error, so that both languages can print it
    PRIMARY KEY (run_id, source)
) WITHOUT ROWID;

-- Up to which generation every passage of a collection is known to have its vector.
CREATE TABLE embedded_up_to (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (collection_id, model)
) WITHOUT ROWID;

-- Where a Chroma collection lies (empty: the workspace's folder), and why it is not to be used.
ALTER TABLE vector_indexes ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE vector_indexes ADD COLUMN damage TEXT;

-- Holders are named as those of jobs; a right that is held now ends with its process.
DROP TABLE leases;
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    process_start TEXT NOT NULL,
    heartbeat REAL NOT NULL
);

-- What this workspace is: the name under which a shared Chroma server knows it, the embedding model that was
-- chosen in place of the one in the settings.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
