"""Programs that write pages, schema, costs, roles and pictures from the code, and programs that only pipelines run.

It may import every other folder; only the tests import it.
"""
