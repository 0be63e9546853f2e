-- What the merchant pushes: added to the score of an item, or of all items with a tag, and told with each pick.
CREATE TABLE recommendation_boosts (
    tenant TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    name TEXT NOT NULL,             -- an item's id or a tag
    amount REAL NOT NULL,           -- of the score, whose deviation is 1; below 0 holds back
    PRIMARY KEY (tenant, catalogue, name)
) WITHOUT ROWID;
