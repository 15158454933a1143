"""What happened: events, failures, and where every run stands."""
