-- What a shop tells of its products, as vectors, so that a catalogue is embedded once and not at every start.
CREATE TABLE support_catalogue (
    model TEXT NOT NULL,
    text TEXT NOT NULL,              -- a name or a description
    vector BLOB NOT NULL,            -- float16, norm 1
    PRIMARY KEY (model, text)
);
