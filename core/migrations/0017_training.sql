-- The right label of a text, as a person says it: data to train the classifier of that name with. The last one counts.
CREATE TABLE training_corrections (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,              -- of the trained model
    text TEXT NOT NULL,              -- personal data masked
    label TEXT NOT NULL,
    user TEXT NOT NULL,              -- who said so
    at REAL NOT NULL,                -- seconds since the epoch
    PRIMARY KEY (tenant, name, text)
) WITHOUT ROWID;
