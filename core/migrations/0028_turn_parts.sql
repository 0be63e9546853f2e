-- Customer service: what became of each part of a message that asks several things.
CREATE TABLE support_turn_parts (
    question_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    part INTEGER NOT NULL,           -- from 0, in the order of the message
    text TEXT NOT NULL,
    intent TEXT,
    probability REAL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (question_id, part)
) WITHOUT ROWID;
