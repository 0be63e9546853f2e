-- Feeds that the sentiment desk reads again and again.
CREATE TABLE news_feeds (
    tenant TEXT NOT NULL,
    address TEXT NOT NULL,
    added_at REAL NOT NULL,
    looked_at REAL,                  -- when it was last asked for
    failures INTEGER NOT NULL DEFAULT 0,  -- in a row; each doubles the time to the next try
    brought INTEGER NOT NULL DEFAULT 0,  -- items that were new or newer
    error TEXT,                      -- JSON: why nothing came, then
    PRIMARY KEY (tenant, address)
) WITHOUT ROWID;
