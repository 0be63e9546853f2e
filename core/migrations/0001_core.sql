-- Every model call, in OpenTelemetry's GenAI terms; texts are never stored here.
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,               -- seconds since the epoch
    trace_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    operation TEXT NOT NULL,        -- chat, embeddings, rerank, decide
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT,                    -- id@version
    input_tokens INTEGER,
    output_tokens INTEGER,
    first_token_s REAL,
    total_s REAL NOT NULL,
    finish_reason TEXT,
    error TEXT                      -- an error code
);
CREATE INDEX calls_by_trace ON calls (trace_id);
CREATE INDEX calls_by_time ON calls (at);
