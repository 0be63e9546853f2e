-- What people did about alerts, as a journal that is only added to; prices beside the mood; archives to replay.
CREATE TABLE news_journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL,
    action TEXT NOT NULL,            -- see apps/financial_sentiment/journal.py
    rule TEXT NOT NULL,              -- '' when it is about all rules
    subject TEXT NOT NULL,           -- scope:id, '' when it is about all
    alert_at REAL,                   -- of the alert that it is about
    until REAL,                      -- the end of a mute
    note TEXT NOT NULL
);
CREATE INDEX news_journal_by_tenant ON news_journal (tenant, id);

CREATE TABLE news_prices (
    tenant TEXT NOT NULL,
    company TEXT NOT NULL,           -- id in the dictionary
    day TEXT NOT NULL,               -- YYYY-MM-DD
    close REAL NOT NULL,
    seen_at REAL NOT NULL,           -- from when it counts as known: never before it was given or its day was over
    PRIMARY KEY (tenant, company, day)
) WITHOUT ROWID;

CREATE TABLE news_archives (         -- dated news apart from the desk's; its items lie under a tenant of its own
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    added_at REAL NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
