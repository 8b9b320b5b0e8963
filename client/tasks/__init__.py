"""`train task`: tasks for the workers, their results, and those that failed."""
