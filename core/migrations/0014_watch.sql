-- The watch of the sentiment desk: portfolios, rules and quiet hours of a tenant, folders read again and again.
CREATE TABLE news_portfolios (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    company TEXT NOT NULL,           -- id in the dictionary
    weight REAL NOT NULL,
    PRIMARY KEY (tenant, name, company)
) WITHOUT ROWID;

CREATE TABLE news_choices (          -- what a tenant chose; without a row the shipped choice counts
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,              -- rules, quiet
    value TEXT NOT NULL,             -- JSON
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE news_notices (          -- which alerts were handed over; never again on the same channel
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,           -- scope:id
    at REAL NOT NULL,                -- of the alert
    sent_at REAL NOT NULL,
    PRIMARY KEY (tenant, channel, rule, subject, at)
) WITHOUT ROWID;

CREATE TABLE news_folders (
    tenant TEXT NOT NULL,
    path TEXT NOT NULL,
    added_at REAL NOT NULL,
    looked_at REAL,                  -- when it was last read
    error TEXT,                      -- JSON: why it could not be, then
    PRIMARY KEY (tenant, path)
) WITHOUT ROWID;

CREATE TABLE news_files (            -- of watched folders; a file is read once for each content
    tenant TEXT NOT NULL,
    folder TEXT NOT NULL,
    path TEXT NOT NULL,              -- below the folder
    sha256 TEXT NOT NULL,
    seen_at REAL NOT NULL,           -- when this content was first met: the seen time of its items
    state TEXT NOT NULL CHECK (state IN ('reading', 'done', 'failed')),
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    counts TEXT NOT NULL,            -- JSON: new, updated, copies, known, refused
    error TEXT,                      -- JSON: the first thing that was refused
    PRIMARY KEY (tenant, folder, path),
    FOREIGN KEY (tenant, folder) REFERENCES news_folders (tenant, path) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE news_second_opinions (  -- what a decision model says of an item and a company
    item_id INTEGER NOT NULL REFERENCES news_items (id) ON DELETE CASCADE,
    company TEXT NOT NULL,
    model TEXT NOT NULL,
    label TEXT NOT NULL,
    probability REAL NOT NULL,
    asked_at REAL NOT NULL,
    PRIMARY KEY (item_id, company, model)
) WITHOUT ROWID;
