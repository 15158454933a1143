"""One task at work: its shard, its worker, and the process that trains."""
