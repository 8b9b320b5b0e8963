"""The parts of the stack: one noun per file, its settings model and its ComponentResource."""
