"""The parts of the stack: one noun per file or package, its settings model and its ComponentResource.

It imports `stack_file`, and none of the other rooms.
"""
