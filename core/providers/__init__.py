"""What answers: one file per engine, one per wrapper, and the registry."""
