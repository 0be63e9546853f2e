-- One tenant's events in the order they were told, beside everybody else's: a fit reads them all.
CREATE INDEX recommendation_events_by_catalogue ON recommendation_events (tenant, catalogue);
