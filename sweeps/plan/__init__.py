"""From cells to tasks: which runs are due, in which order and cohorts, how long they take."""
