"""A stack file as a whole: what the components say that it may hold, checked once.

It may import `components` and `stack_file`.
"""
