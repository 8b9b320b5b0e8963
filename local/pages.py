"""Everything committed that is made from the code: tables, the schema, costs, the roles' policies, the picture.

`python -m local.pages` writes it anew; a test finds what is not current.
"""

from collections.abc import Callable
from pathlib import Path

from local import coverage, engine, policy, prices, reference, roles, sealed, stack_files
from local.aws import Aws
from local.cloud import LocalCloud
from local.graph import svg

PROJECT = Path(__file__).parents[1]
PICTURED = "prod"
"""The stack in README's picture."""
TABLES: dict[str, Callable[[], str]] = {
    "README.md": reference.table,
    "docs/local.md": coverage.table,
    "docs/policy.md": policy.table,
}
"""Page -> the table in it, which stands between two marks."""
BEGIN, END = "<!-- table, made by `make pages` -->\n", "<!-- end of table -->\n"


def made() -> dict[Path, str]:
    """File -> what it should hold.

    Raises:
        RunError: when a stack file is wrong.

    """
    estimates: dict[str, prices.Estimate] = {}
    files = {PROJECT / page: _with_table(PROJECT / page, table()) for page, table in TABLES.items()}
    for path in sorted(PROJECT.glob("Pulumi.*.yaml")):
        stack = stack_files.read(PROJECT, path.name.split(".")[1])
        with Aws(stack.region, stack.default_tags, managed_policies=False) as aws:
            cloud = LocalCloud(aws)
            run = engine.run(stack, cloud, preview=True)
            if run.error is not None:
                raise run.error
            estimates[stack.stack] = prices.estimate(run, cloud)
            if stack.stack == PICTURED:
                files[PROJECT / "docs" / "architecture.svg"] = svg(run) + "\n"
    with Aws(roles.REGION) as aws:
        policies = roles.documents(roles.whole(aws))
    return (
        files
        | {PROJECT / "stack.schema.json": reference.schema_text()}
        | {PROJECT / "docs" / "costs.md": prices.document(estimates)}
        | {roles.FOLDER / name: text for name, text in policies.items()}
    )


def _with_table(page: Path, table: str) -> str:
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + table + END + rest.split(END)[1]


if __name__ == "__main__":
    sealed.seal()
    for file, text in made().items():
        file.write_text(text, encoding="utf-8")
