"""A small CRM, as a stranger would write it: all it knows of Vonal is its public API and its webhooks."""
