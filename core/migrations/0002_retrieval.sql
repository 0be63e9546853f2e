-- Documents, passages and vectors: the truth. The Chroma index is rebuilt from these tables at any time.
CREATE TABLE collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never reused: keyword_ID is this collection's keyword index
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,  -- raised by every commit; readers compare it before a query
    created_at REAL NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE documents (
    id TEXT PRIMARY KEY,                    -- hash of collection and source
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,                     -- who added it
    source TEXT NOT NULL,                   -- a path or a name
    title TEXT NOT NULL,
    language TEXT NOT NULL,                 -- zh or en
    media_type TEXT NOT NULL,
    content_hash TEXT NOT NULL,             -- SHA-256 of the bytes, and the version of loader and splitter
    text TEXT NOT NULL,                     -- what passages and citations point into, in characters
    updated_at REAL NOT NULL,
    UNIQUE (collection_id, source)
);

CREATE TABLE passages (
    number INTEGER PRIMARY KEY,             -- rowid in the keyword index
    id TEXT NOT NULL UNIQUE,                -- document id and text hash: the same text keeps its id
    collection_id INTEGER NOT NULL,
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    heading TEXT,
    page INTEGER,
    language TEXT NOT NULL,
    text TEXT NOT NULL,
    text_hash TEXT NOT NULL,                -- of the text that is embedded: title, heading and text
    metadata TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX passages_by_document ON passages (document_id, position);
CREATE INDEX passages_by_collection ON passages (collection_id, number);
CREATE INDEX passages_by_text ON passages (text_hash);

-- float16 vectors by model and text: the embedding cache and the source of every vector index.
CREATE TABLE vectors (
    model TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (model, text_hash)
) WITHOUT ROWID;

-- One Chroma collection per row; what has been applied to it, passage by passage, is its manifest.
CREATE TABLE vector_indexes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    dim INTEGER NOT NULL,
    name TEXT NOT NULL,                     -- the Chroma collection
    generation INTEGER NOT NULL DEFAULT 0,  -- raised by every batch applied; open readers reopen on change
    UNIQUE (collection_id, model)
);

CREATE TABLE vector_applied (
    index_id INTEGER NOT NULL REFERENCES vector_indexes (id) ON DELETE CASCADE,
    passage_id TEXT NOT NULL,
    PRIMARY KEY (index_id, passage_id)
) WITHOUT ROWID;

-- The right to do something that one process at a time may do.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    started REAL NOT NULL,                  -- start time of the process, so that a reused pid is recognised
    heartbeat REAL NOT NULL
);
