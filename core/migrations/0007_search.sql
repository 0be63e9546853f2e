-- What a search can be narrowed by, and words that a collection's users say differently.
ALTER TABLE documents ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';  -- front matter and what was given; flat JSON
ALTER TABLE documents ADD COLUMN given TEXT NOT NULL DEFAULT '{}';     -- the part that was given; survives a new version of the file

CREATE TABLE synonyms (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL DEFAULT '',    -- '' holds for all collections of the tenant
    kind TEXT NOT NULL,                     -- equal: each term finds all; expand: the first finds the others
    terms TEXT NOT NULL,                    -- JSON list
    UNIQUE (tenant, collection, kind, terms)
);

-- The user dictionary: words that get a term of their own in the keyword index.
CREATE TABLE kept_words (
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL DEFAULT '',
    word TEXT NOT NULL,
    PRIMARY KEY (tenant, collection, word)
) WITHOUT ROWID;
