"""`train launcher`: configurations of other launchers for this stack."""
