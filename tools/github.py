"""Reports Pulumi's output on GitHub: in one comment on a pull request, which is updated, or in one open issue.

`python -m tools.github comment NUMBER TITLE FILE`, or `issue TITLE FILE`. A comment or issue with the same title is
overwritten, so that there is only one. Needs `gh` and its token (GH_TOKEN), and what GitHub Actions sets.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LARGEST_BODY = 65_536
"""Most characters of a comment or an issue on GitHub."""
AUTHOR = "github-actions[bot]"
FENCE = "`" * 10


def body(title: str, said: str) -> str:
    """The text under its title, with a link to the run; only the beginning of the text when it is too long."""
    address = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format(**os.environ)
    head, foot = f"### {title}\n\n{FENCE}\n", f"\n{FENCE}\n\nThe whole is in [the run]({address}).\n"
    room = LARGEST_BODY - len(head) - len(foot)
    cut = "\n... cut off here: it is too long for GitHub"
    return head + (said if len(said) <= room else said[: room - len(cut)] + cut) + foot


def write(path: str, title: str, fields: dict[str, str]) -> None:
    """Overwrite the comment or issue with this title, or create it.

    `path` is the API path that lists the existing ones.
    """
    there = [
        one
        for one in _gh(f"{path}?per_page=100", "--paginate", "--slurp")
        if one["user"]["login"] == AUTHOR and (one["body"] or "").startswith(f"### {title}\n")
    ]
    target = ("--method", "PATCH", there[0]["url"]) if there else ("--method", "POST", path)
    _gh(*target, "--input", "-", given=json.dumps(fields))


def _gh(*arguments: str, given: str | None = None) -> list[Any]:
    """GitHub's answer; the pages of a list as one list."""
    answer = json.loads(
        subprocess.run(["gh", "api", *arguments], input=given, text=True, stdout=subprocess.PIPE, check=True).stdout
    )
    return [one for page in answer for one in page] if "--slurp" in arguments else [answer]


def main(arguments: list[str]) -> None:
    """Report as the command line says."""
    issues = "repos/{GITHUB_REPOSITORY}/issues".format(**os.environ)
    match arguments:
        case ["comment", number, title, file]:
            text = body(title, Path(file).read_text(encoding="utf-8", errors="replace"))
            write(f"{issues}/{number}/comments", title, {"body": text})
        case ["issue", title, file]:
            text = body(title, Path(file).read_text(encoding="utf-8", errors="replace"))
            write(issues, title, {"title": title, "body": text})
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
