"""Records to tables: frame, statistics, table, and the formats that papers need."""
