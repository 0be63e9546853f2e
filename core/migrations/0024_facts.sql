-- What a customer agreed to have remembered from one conversation to the next: values that they proved to be theirs.
CREATE TABLE support_facts (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    slot TEXT NOT NULL,              -- of the policy: order
    value TEXT NOT NULL,
    at REAL NOT NULL,                -- when it was last proved
    PRIMARY KEY (tenant, user, slot, value)
);
