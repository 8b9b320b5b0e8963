"""Whether the nodes of a job communicate over EFA, and how fast: an all-reduce between two of them, and what it logged.

Only this starts GPU instances to find something out, so it says before what it starts and costs.
"""
