"""From cells to tasks: which runs are due, in which order and cohorts, and how long they take."""
