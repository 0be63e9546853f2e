-- What a person chose about the pages, such as the language; small values only.
CREATE TABLE preferences (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, user, name)
);
