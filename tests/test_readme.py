"""What the documents tell people to type exists, and what they link to is there."""

import re
import shlex
from pathlib import Path

import pytest

from schemas.errors import UsageError
from tests.command_list import parsers

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def typed_lines(text):
    """The lines of a document's shell blocks, with continued lines joined and prompts and comments taken off."""
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


def ours(words):
    """The part of a line that calls Reelsift, as (command, arguments); None when it calls something else."""
    for start, word in enumerate(words):
        if word == "reelsift" or word.endswith("/reelsift"):
            return words[start + 1 :]
        if word.startswith("jobs.") and words[start - 1] == "-m":
            rest = words[start + 1 :]
            return rest if word == "jobs.reelsift" else [word.removeprefix("jobs."), *rest]
    return None


def check_command(words, known):
    if words in (["--help"], ["--version"]):
        return
    for size in (2, 1):
        parser = known.get(" ".join(words[:size]))
        if parser:
            if words[size:] != ["--help"]:
                parser.parse_args(words[size:])
            return
    raise UsageError(f"no such command: reelsift {' '.join(words)}")


@pytest.fixture(scope="module")
def known():
    return parsers()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_flag_in_a_document_exists(document, known):
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    for words in typed_lines(document.read_text()):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
        elif (call := ours(words)) is not None:
            check_command(call, known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_links_exists(document):
    links = [link for link in _LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_readme_shows_the_two_commands_and_the_whole_path():
    lines = list(typed_lines((ROOT / "README.md").read_text()))
    assert ["make", "demo"] in lines
    assert ["make", "test"] in lines
    called = {words[0] for words in map(ours, lines) if words}
    assert {"extract", "index", "search", "serve", "data"} <= called


@pytest.mark.parametrize("line", ["reelsift extrakt", "reelsift extract --tabels x", "python -m jobs.nothing"])
def test_a_planted_mistake_is_found(line, known):
    (words,) = typed_lines(f"```sh\n$ {line}\n```\n")
    with pytest.raises(UsageError):
        check_command(ours(words), known)
