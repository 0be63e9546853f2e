-- What a hit shows of its document, without its text: a row of documents is as long as the document, and what stands
-- behind the text in it is reached by reading all of the text.
CREATE INDEX documents_shown ON documents (id, title, source, metadata);
