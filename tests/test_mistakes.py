"""How a mistake is said: the rule, what was got, and what was perhaps meant; and never a secret."""

import pytest

from stack_file.mistakes import LONGEST_SHOWN, Mistake, near


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("text", "'text'"),
        ("two\nlines\x1b[31m", "'two\\nlines\\x1b[31m'"),
        (["a", 1, None], "['a', 1, null]"),
        ({"a": [True], "b": {}}, "{'a': [true], 'b': {}}"),
        ({"secrets": {"TOKEN": "hunter2"}, "clientSecret": "hunter2"}, "{'secrets': ***, 'clientSecret': ***}"),
    ],
)
def test_a_value_is_said_on_one_line(got: object, said: str) -> None:
    assert str(Mistake(path="a.b", rule="must be another", got=got)) == f"a.b: must be another, got {said}"


def test_a_long_value_is_cut() -> None:
    said = str(Mistake(path="", rule="must be short", got="x" * 10_000))
    assert len(said) == len("must be short, got ") + LONGEST_SHOWN
    assert said.endswith("x...")


@pytest.mark.parametrize("path", ["batch.a.secrets.TOKEN", "workers.secrets", "batch.a.secretss", "alerts.secure"])
def test_what_may_be_a_secret_is_not_said_again(path: str) -> None:
    assert str(Mistake(path=path, rule="must be an ARN", got="hunter2")) == f"{path}: must be an ARN"


def test_the_name_of_a_secret_is_said() -> None:
    wrong = Mistake(path="batch.a.secrets.AWS_BATCH_X", rule="must not begin so", got="AWS_BATCH_X")
    assert str(wrong).endswith("must not begin so, got 'AWS_BATCH_X'")


@pytest.mark.parametrize(
    ("word", "words", "meant"),
    [
        ("fifoo", ["fifo", "highThroughput"], "fifo"),
        ("max_vcpus", ["maxVcpus", "minVcpus"], "maxVcpus"),
        ("Region", ["region", "retryMode"], "region"),
        ("us-wset-2", ["us-west-1", "us-west-2", "us-east-2"], "us-west-2"),
        ("nonsense", ["fifo", "highThroughput"], None),
        ("", ["fifo"], None),
        ("-", ["fifo"], None),
        ("fifo", ["fifo"], None),
        ("fifo", [], None),
    ],
)
def test_a_word_is_meant_that_is_like_it(word: str, words: list[str], meant: str | None) -> None:
    assert near(word, words) == meant
