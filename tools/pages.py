"""Writes every committed file that is made from the code: tables, the schema, costs, the roles' policies, the picture.

`python -m tools.pages` writes all of them; a test fails when one is out of date.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from local import engine, sealed, stack_files
from local.aws import Aws
from local.costs import Estimate
from local.graph import svg
from local.provider import Provider
from tools import costs, reference, roles, tables, whole

PROJECT = Path(__file__).parents[1]
PICTURED = "prod"
"""The stack in README's picture."""
TABLES: dict[str, Callable[[], str]] = {
    "docs/local.md": tables.types,
    "docs/policy.md": tables.rules,
    "docs/settings.md": reference.table,
}
"""Page -> the table in it, between the marks `BEGIN` and `END`."""
BEGIN, END = "<!-- table, made by `make pages` -->\n", "<!-- end of table -->\n"


def made() -> dict[Path, str]:
    """File -> what it should hold.

    Raises:
        RunError: when a stack file is wrong.

    """
    estimates: dict[str, Estimate] = {}
    files = {PROJECT / page: _with_table(PROJECT / page, table()) for page, table in TABLES.items()}
    with ExitStack() as started:

        @cache
        def aws_of(region: str) -> Aws:
            return started.enter_context(Aws(region))

        for path in sorted(PROJECT.glob("Pulumi.*.yaml")):
            stack = stack_files.read(PROJECT, path.name.split(".")[1])
            provider = Provider(aws_of(stack.region))
            run = engine.run(stack, provider, preview=True)
            if run.error is not None:
                raise run.error
            estimates[stack.stack] = provider.estimate(run)
            if stack.stack == PICTURED:
                files[PROJECT / "docs" / "architecture.svg"] = svg(run) + "\n"
        policies = roles.documents(whole.deployed(Provider(aws_of(whole.REGION))))
    return (
        files
        | {PROJECT / "stack.schema.json": reference.schema_text()}
        | {PROJECT / "docs" / "costs.md": costs.document(estimates), PROJECT / "client" / "prices.json": costs.prices()}
        | {roles.FOLDER / name: text for name, text in policies.items()}
    )


def _with_table(page: Path, table: str) -> str:
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + table + END + rest.split(END)[1]


if __name__ == "__main__":
    sealed.seal()
    for file, text in made().items():
        file.write_text(text, encoding="utf-8")
