-- Copies are looked for among the news of a week only, however much there is; what sources had wrong is kept.
DROP TABLE news_bands;

CREATE TABLE news_sketches (         -- see apps/financial_sentiment/sketches.py
    tenant TEXT NOT NULL,
    band INTEGER NOT NULL,
    seen_at REAL NOT NULL,           -- of the item
    item_id INTEGER NOT NULL REFERENCES news_items (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant, band, seen_at, item_id)
) WITHOUT ROWID;
CREATE INDEX news_sketches_by_item ON news_sketches (item_id);

CREATE TABLE news_troubles (         -- a row for each kind of trouble of a source
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,            -- a file, an address, or what items call their source
    code TEXT NOT NULL,              -- of the error
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    count INTEGER NOT NULL,
    told TEXT NOT NULL,              -- JSON of the last one: where, code, en, zh
    PRIMARY KEY (tenant, source, code)
) WITHOUT ROWID;

CREATE TABLE news_vectors (          -- of sentences that were judged, so that judging again costs no embedding
    id INTEGER PRIMARY KEY,          -- the newest have the highest; the oldest are forgotten
    model TEXT NOT NULL,
    key TEXT NOT NULL,               -- of the sentence: see apps/financial_sentiment/vectors.py
    vector BLOB NOT NULL,            -- float16
    UNIQUE (model, key)
);
