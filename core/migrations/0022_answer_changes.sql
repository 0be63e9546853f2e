-- How often the curated answers of a tenant changed, by whatever process: what one keeps of them in memory is as old as this says.
-- Counting how often an answer was given is no change.
CREATE TABLE support_answer_changes (
    tenant TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER support_answer_came AFTER INSERT ON support_answers BEGIN
    INSERT INTO support_answer_changes VALUES (new.tenant, 1) ON CONFLICT (tenant) DO UPDATE SET number=number+1;
END;
CREATE TRIGGER support_answer_turned AFTER UPDATE OF language, state, changed_at ON support_answers BEGIN
    INSERT INTO support_answer_changes VALUES (new.tenant, 1) ON CONFLICT (tenant) DO UPDATE SET number=number+1;
END;
CREATE TRIGGER support_answer_went AFTER DELETE ON support_answers BEGIN
    INSERT INTO support_answer_changes VALUES (old.tenant, 1) ON CONFLICT (tenant) DO UPDATE SET number=number+1;
END;
