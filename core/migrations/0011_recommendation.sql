-- What can be recommended, and who did what with it. Every table carries the tenant; no query leaves it out.
CREATE TABLE recommendation_catalogues (
    tenant TEXT NOT NULL,
    catalogue TEXT NOT NULL,        -- a tenant may have several; the sample is one
    version INTEGER NOT NULL,       -- counts imports
    PRIMARY KEY (tenant, catalogue)
) WITHOUT ROWID;

CREATE TABLE recommendation_items (
    tenant TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    id TEXT NOT NULL,
    place INTEGER NOT NULL,         -- order of the file
    item TEXT NOT NULL,             -- JSON: titles and descriptions by language, kind, tags, year, age, stock
    PRIMARY KEY (tenant, catalogue, id)
) WITHOUT ROWID;

CREATE TABLE recommendation_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    user TEXT NOT NULL,             -- the person recommended to
    item TEXT NOT NULL,
    kind TEXT NOT NULL,             -- event (from a file), like, own, not_interested, less
    value REAL NOT NULL,
    at REAL NOT NULL                -- seconds since the epoch
);
CREATE INDEX recommendation_events_by_user ON recommendation_events (tenant, catalogue, user, at, id);
