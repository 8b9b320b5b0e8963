"""Whether what a deployed stack exports is there and healthy, as its users find it.

Each check is a line: passed, failed, a warning, or not checked. Nothing is changed unless a round trip is asked for.
"""
