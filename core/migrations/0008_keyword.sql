-- The keyword leg's inverted index (core/retrieval/keyword.py): committed with the documents it is made from.
CREATE TABLE keyword_indexes (
    collection_id INTEGER PRIMARY KEY REFERENCES collections (id) ON DELETE CASCADE,
    key INTEGER NOT NULL,                   -- random: tells this index from every other, in any file
    version TEXT NOT NULL,                  -- of tokens and format; an index of another version is made anew
    stamp INTEGER NOT NULL,                 -- random, new with every change: what is cached under it stays true
    fresh INTEGER NOT NULL DEFAULT 0        -- rows of keyword_fresh
);

-- Passages that are in no segment yet.
CREATE TABLE keyword_fresh (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,                -- of the passage
    length INTEGER NOT NULL,                -- in terms
    hashes BLOB NOT NULL,                   -- of its distinct terms, 8 bytes each
    frequencies BLOB NOT NULL,              -- of each, in tenths, 1 byte each
    PRIMARY KEY (collection_id, number)
) WITHOUT ROWID;

-- Up to 65,536 passages whose postings never change; only ``dead`` does.
CREATE TABLE keyword_segments (
    id INTEGER PRIMARY KEY,                 -- random, so that no other segment ever has it, in this file or a restored one
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    passages INTEGER NOT NULL,
    numbers BLOB NOT NULL,                  -- passage numbers by ordinal, 8 bytes each
    lengths BLOB NOT NULL,                  -- in terms, by ordinal, 4 bytes each
    firsts BLOB NOT NULL,                   -- the first term of each block, 8 bytes each
    first_block INTEGER NOT NULL,           -- its blocks are numbered from here on
    dead BLOB NOT NULL DEFAULT x''          -- ordinals of deleted passages, 2 bytes each
);
CREATE INDEX keyword_segments_by_collection ON keyword_segments (collection_id);

CREATE TABLE keyword_blocks (
    number INTEGER PRIMARY KEY,
    data BLOB NOT NULL                      -- see core/retrieval/postings.py
);
CREATE TRIGGER keyword_segment_gone AFTER DELETE ON keyword_segments BEGIN
    DELETE FROM keyword_blocks
    WHERE number >= old.first_block AND number < old.first_block + length(old.firsts) / 8;
END;

-- Which passages to look at again: new, deleted, or with a vector that has come since. Readers that keep vectors in
-- memory follow it instead of reading everything at each generation; who is behind its beginning reads everything.
CREATE TABLE passage_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL,
    number INTEGER NOT NULL
);
CREATE TRIGGER passage_came AFTER INSERT ON passages BEGIN
    INSERT INTO passage_changes (collection_id, number) VALUES (new.collection_id, new.number);
END;
CREATE TRIGGER passage_went AFTER DELETE ON passages BEGIN
    INSERT INTO passage_changes (collection_id, number) VALUES (old.collection_id, old.number);
END;
CREATE TRIGGER vector_came AFTER INSERT ON vectors BEGIN
    INSERT INTO passage_changes (collection_id, number)
    SELECT collection_id, number FROM passages WHERE text_hash = new.text_hash;
END;
CREATE TRIGGER vector_went AFTER DELETE ON vectors BEGIN
    INSERT INTO passage_changes (collection_id, number)
    SELECT collection_id, number FROM passages WHERE text_hash = old.text_hash;
END;
CREATE TRIGGER passage_changes_kept_short AFTER INSERT ON passage_changes WHEN new.seq % 1000 = 0 BEGIN
    DELETE FROM passage_changes WHERE seq <= new.seq - 100000;
END;
