"""What is made from the code is as the code would make it now."""

from tools import pages, roles


def test_what_is_made_from_the_code_is_current() -> None:
    made = pages.made()
    assert [path.name for path, text in made.items() if path.read_text() != text] == [], "run: make pages"
    assert {path for role in ("preview", "deploy") for path in roles.FOLDER.glob(f"{role}-[0-9].json")} <= set(made)
