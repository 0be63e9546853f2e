-- Conversations of all apps. Every table carries tenant and user; no query leaves them out.
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL,              -- customer_service, search, …
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    title TEXT NOT NULL,            -- empty until the first question
    created_at REAL NOT NULL,       -- seconds since the epoch
    updated_at REAL NOT NULL
);
CREATE INDEX conversations_by_owner ON conversations (tenant, user, app, updated_at);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    role TEXT NOT NULL,             -- user, assistant
    state TEXT NOT NULL,            -- streaming, done, stopped, failed
    text TEXT NOT NULL,
    at REAL NOT NULL,
    reply_to INTEGER,               -- the question an answer belongs to
    writer TEXT,                    -- host/pid/token of the process that streams it
    beat_at REAL,                   -- last sign of life of that process
    trace_id TEXT,
    model TEXT,
    prompt TEXT,                    -- id@version
    notices TEXT,                   -- JSON list of message codes
    answer TEXT,                    -- JSON: mode, language, sentences, citations, confidence, removed, timings
    error TEXT                      -- JSON: code and parameters, so that both languages can print it
);
CREATE INDEX messages_by_conversation ON messages (conversation_id, id);

CREATE TABLE feedback (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    app TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    thumb INTEGER NOT NULL,         -- 1 up, 0 down
    comment TEXT NOT NULL,
    trace_id TEXT,
    model TEXT,
    prompt TEXT,
    at REAL NOT NULL
);
CREATE INDEX feedback_by_time ON feedback (at);
