-- Tools, the sample shop they act on, the customer-service flow and the agent desk.
CREATE TABLE tool_calls (            -- every call of a tool; see core/tools/journal.py
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    conversation_id TEXT,
    tool TEXT NOT NULL,
    permission TEXT NOT NULL,        -- read, write
    arguments TEXT NOT NULL,         -- JSON
    outcome TEXT NOT NULL,           -- started, done, refused, failed
    result TEXT,                     -- JSON
    error TEXT,                      -- JSON: code and parameters
    key TEXT,                        -- stands for one write
    started_at REAL NOT NULL,
    ended_at REAL
);
CREATE UNIQUE INDEX tool_calls_by_key ON tool_calls (tenant, user, key)
    WHERE key IS NOT NULL AND outcome IN ('started', 'done');
CREATE INDEX tool_calls_by_time ON tool_calls (tenant, user, started_at);
CREATE INDEX tool_calls_by_conversation ON tool_calls (conversation_id);

-- The sample shop (apps/customer_service/shop); money in cents, times in seconds since the epoch.
CREATE TABLE shop_products (
    tenant TEXT NOT NULL,
    sku TEXT NOT NULL,
    name_zh TEXT NOT NULL,
    name_en TEXT NOT NULL,
    return_days_cn INTEGER NOT NULL, -- of orders from mainland China
    return_days_abroad INTEGER NOT NULL,
    stock INTEGER NOT NULL,
    restock TEXT,                    -- date, when stock is 0 and more is on its way
    PRIMARY KEY (tenant, sku)
) WITHOUT ROWID;

CREATE TABLE shop_orders (
    tenant TEXT NOT NULL,
    number TEXT NOT NULL,
    customer TEXT NOT NULL,
    phone TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    currency TEXT NOT NULL,          -- CNY is the mainland store, the others are abroad
    status TEXT NOT NULL,            -- paid, shipped, delivered, cancelled
    carrier TEXT,
    tracking TEXT,
    address_changed INTEGER NOT NULL DEFAULT 0,
    placed_at REAL NOT NULL,
    shipped_at REAL,
    delivered_at REAL,
    PRIMARY KEY (tenant, number)
) WITHOUT ROWID;
CREATE INDEX shop_orders_by_customer ON shop_orders (tenant, phone);

CREATE TABLE shop_items (
    tenant TEXT NOT NULL,
    number TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    price_cents INTEGER NOT NULL,    -- of one
    returned INTEGER NOT NULL DEFAULT 0,  -- pieces
    PRIMARY KEY (tenant, number, sku)
) WITHOUT ROWID;

CREATE TABLE shop_returns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    number TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    reason TEXT NOT NULL,
    refund_cents INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX shop_returns_by_order ON shop_returns (tenant, number);

CREATE TABLE shop_tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    subject TEXT NOT NULL,
    number TEXT,                     -- the order it is about
    status TEXT NOT NULL,            -- open, closed
    at REAL NOT NULL
);
CREATE INDEX shop_tickets_by_user ON shop_tickets (tenant, user);

-- What a message shows beside its text: a confirmation, an order, a hand-off. JSON with its `kind`.
ALTER TABLE messages ADD COLUMN card TEXT;

CREATE TABLE desk_cases (            -- a conversation handed over to a person
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,              -- the customer
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    cause TEXT NOT NULL,             -- asked, rule, frustration, misses, tool_failure
    state TEXT NOT NULL,             -- waiting, taken, closed
    after_hours INTEGER NOT NULL,    -- nobody was there: a ticket and a promise
    ticket TEXT,
    language TEXT NOT NULL,
    intent TEXT,
    brief TEXT NOT NULL,             -- JSON: summary, slots, sources tried, suggested reply
    agent TEXT,
    created_at REAL NOT NULL,
    taken_at REAL,
    closed_at REAL
);
CREATE UNIQUE INDEX desk_cases_open ON desk_cases (conversation_id) WHERE state IN ('waiting', 'taken');
CREATE INDEX desk_cases_by_state ON desk_cases (tenant, state, created_at);

-- LangGraph's tables, as langgraph-checkpoint-sqlite makes them, so that a deleted conversation takes its flow along.
CREATE TABLE checkpoints (
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT,
    type TEXT,
    checkpoint BLOB,
    metadata BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);
CREATE TABLE writes (
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task_path TEXT NOT NULL DEFAULT '',
    idx INTEGER NOT NULL,
    channel TEXT NOT NULL,
    type TEXT,
    value BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);
CREATE TRIGGER conversations_forget_flow AFTER DELETE ON conversations BEGIN
    DELETE FROM checkpoints WHERE thread_id=old.id;
    DELETE FROM writes WHERE thread_id=old.id;
END;
