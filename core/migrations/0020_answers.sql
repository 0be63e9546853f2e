-- Answers that people of the house wrote, which come before those of the documents, and the questions they answer.
CREATE TABLE support_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    language TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,             -- live, off, proposed
    conversation_id TEXT REFERENCES conversations (id) ON DELETE CASCADE,  -- of a proposal: it goes with its customer
    hits INTEGER NOT NULL DEFAULT 0,
    hit_at REAL,                     -- seconds since the epoch
    changed_by TEXT NOT NULL,
    changed_at REAL NOT NULL
);
CREATE INDEX support_answers_by_state ON support_answers (tenant, state, language);

CREATE TABLE support_answer_questions (
    answer_id INTEGER NOT NULL REFERENCES support_answers (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    vector BLOB NOT NULL,            -- float16, of norm 1; empty where no model could be asked
    PRIMARY KEY (answer_id, position)
) WITHOUT ROWID;
