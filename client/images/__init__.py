"""`train image`: images for workers and jobs, in the repository of the stack."""
