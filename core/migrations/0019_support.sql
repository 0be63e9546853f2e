-- Customer service: what became of each message, for the manager's figures, and policies changed on the page.
CREATE TABLE support_turns (
    question_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    conversation_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL,                -- seconds since the epoch
    language TEXT NOT NULL,
    intent TEXT,                     -- NULL: no model was asked what it means
    probability REAL,
    outcome TEXT NOT NULL,           -- see apps/customer_service/turns.py
    first_s REAL                     -- seconds until the first words of the answer
);
CREATE INDEX support_turns_by_time ON support_turns (tenant, at);

CREATE TABLE support_policies (      -- never changed, only added to; the newest of a shop counts
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shop TEXT NOT NULL,              -- the file that it takes the place of
    base TEXT NOT NULL,              -- SHA-256 of that file when it was saved: a newer file comes first
    text TEXT NOT NULL,              -- empty: back to the file
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX support_policies_by_shop ON support_policies (shop, id);
