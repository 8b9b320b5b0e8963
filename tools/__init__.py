"""What writes pages, schema, costs, roles and pictures from the code, and what only pipelines run.

It may import every room, by its public face; nothing but the tests imports it.
"""
