-- What people keep on the search page. Every table carries the tenant; no query leaves it out.

-- Thumbs: whether a document answers a query, as one person sees it.
CREATE TABLE search_judgments (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    query TEXT NOT NULL,
    document_id TEXT NOT NULL,
    gain REAL NOT NULL,                     -- 1 answers it, 0 does not
    at REAL NOT NULL,                       -- seconds since the epoch
    PRIMARY KEY (tenant, user, query, document_id)
) WITHOUT ROWID;

-- How searches of a tenant are made where nobody chooses otherwise; the last row holds.
CREATE TABLE search_defaults (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    setting TEXT NOT NULL,                  -- JSON
    changed_by TEXT NOT NULL,
    at REAL NOT NULL,
    forced INTEGER NOT NULL DEFAULT 0,      -- changed although it was measured as worse, or not at all
    figures TEXT NOT NULL DEFAULT '{}'      -- JSON: what was measured before the change
);
CREATE INDEX search_defaults_by_tenant ON search_defaults (tenant, id);

-- Searches to be told of new matches of.
CREATE TABLE search_saved (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    query TEXT NOT NULL,                    -- JSON
    created_at REAL NOT NULL,
    seen_at REAL NOT NULL,                  -- when its owner last looked
    checked_at REAL NOT NULL,
    generations TEXT NOT NULL DEFAULT '',   -- JSON: of the collections, at the last check
    UNIQUE (tenant, user, name)
);

-- The document versions that match; those with found_at after the owner's last look are new.
CREATE TABLE search_matches (
    saved_id INTEGER NOT NULL REFERENCES search_saved (id) ON DELETE CASCADE,
    document_id TEXT NOT NULL,
    version TEXT NOT NULL,                  -- hash of the document's content
    found_at REAL NOT NULL,
    PRIMARY KEY (saved_id, document_id, version)
) WITHOUT ROWID;

CREATE TABLE search_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    query TEXT NOT NULL,                    -- JSON
    at REAL NOT NULL,
    hits INTEGER NOT NULL
);
CREATE INDEX search_history_by_user ON search_history (tenant, user, id);

-- Folders that are kept in step with a collection.
CREATE TABLE search_folders (
    tenant TEXT NOT NULL,
    path TEXT NOT NULL,
    added_by TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (tenant, path)
) WITHOUT ROWID;
