-- Whether somebody has looked at a correction that seemed mislabeled, and stands by it: it is not asked about again.
ALTER TABLE training_corrections ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
