"""`train job`: jobs of AWS Batch, from their submission to what they cost."""
