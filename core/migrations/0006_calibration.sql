-- From which confidence on questions are answered from a collection, and how often that is wrong.
CREATE TABLE calibrations (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    model TEXT NOT NULL,                    -- the embedding model; empty for search by words alone
    generation INTEGER NOT NULL,            -- of the collection when it was calibrated
    basis TEXT NOT NULL,                    -- asked: questions of a user's file; made: from the collection's sentences
    questions INTEGER NOT NULL,
    threshold REAL NOT NULL,
    false_refusals REAL NOT NULL,           -- share of answerable questions below the threshold
    false_answers REAL NOT NULL,            -- share of unanswerable questions not below it
    wrong_answers REAL NOT NULL,            -- share of answers to answerable questions that quote something else
    slope REAL NOT NULL,                    -- of the confidence's log-odds
    intercept REAL NOT NULL,
    calibration_error REAL NOT NULL,        -- expected calibration error of the confidence as reported
    calibrated_at REAL NOT NULL,
    PRIMARY KEY (collection_id, model)
);
