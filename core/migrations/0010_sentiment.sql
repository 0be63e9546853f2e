-- The news of the sentiment desk. A new version of an item is a new row; nothing is overwritten, so that what was
-- known at a time can be told at any later one.
CREATE TABLE news_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,            -- where it came from: a feed, a file
    external_id TEXT NOT NULL,       -- what the source calls it, else a hash of its text
    language TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,              -- without the title
    url TEXT NOT NULL,
    published_at REAL NOT NULL,      -- as the source says; never after seen_at
    dated TEXT NOT NULL,             -- source, missing (then published_at is seen_at) or future (likewise)
    seen_at REAL NOT NULL,
    superseded_at REAL,              -- when the next version was seen
    copy_of INTEGER REFERENCES news_items (id) ON DELETE SET NULL,  -- the item seen earlier that says the same
    judged_by TEXT                   -- the head's version; NULL until judged
);
CREATE INDEX news_items_by_name ON news_items (tenant, source, external_id, seen_at);
CREATE INDEX news_items_by_time ON news_items (tenant, seen_at);

CREATE TABLE news_bands (            -- see apps/financial_sentiment/sketches.py
    tenant TEXT NOT NULL,
    band TEXT NOT NULL,
    item_id INTEGER NOT NULL REFERENCES news_items (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant, band, item_id)
) WITHOUT ROWID;
CREATE INDEX news_bands_by_item ON news_bands (item_id);

CREATE TABLE news_moods (            -- what an item says of a company
    item_id INTEGER NOT NULL REFERENCES news_items (id) ON DELETE CASCADE,
    company TEXT NOT NULL,
    label TEXT NOT NULL,
    probability REAL NOT NULL,       -- of the label
    mood REAL NOT NULL,              -- P(positive) - P(negative)
    evidence_start INTEGER NOT NULL, -- the sentence, in title + line break + text
    evidence_end INTEGER NOT NULL,
    marks TEXT NOT NULL,             -- JSON: [start, end, sign] of pointing words in the evidence
    events TEXT NOT NULL,            -- JSON: [kind, start, end]
    PRIMARY KEY (item_id, company)
) WITHOUT ROWID;
CREATE INDEX news_moods_by_company ON news_moods (company);

CREATE TABLE news_labels (           -- corrections by people: data to train with
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    item_id INTEGER NOT NULL REFERENCES news_items (id) ON DELETE CASCADE,
    company TEXT NOT NULL,
    label TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX news_labels_by_item ON news_labels (item_id);

CREATE TABLE news_companies (        -- a tenant's own dictionary, over the shipped one
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    row TEXT NOT NULL,               -- JSON with the columns of companies.csv
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
