"""Whatever a name or a file says, the page shows it as text."""

from __future__ import annotations

import html.parser
import pathlib
import random
from typing import Any

import pytest

from admrl_native import cli
from admrl_native.reporting import films
from admrl_native.reporting.camera import NoCameraError
from admrl_native.reporting.collect import collect, read_runs
from admrl_native.reporting.page import write_page
from admrl_native.reporting.style import Picture
from synthetic_runs import make_evaluation, make_run

PIECES = (
    "<script>alert(1)</script>", "</style>", "<img src=x onerror=alert(1)>", "<!--", "-->", "]]>",
    "<![CDATA[", "&", "&lt;", "&#x3c;", '"', "'", "`", "=", "<", ">", "</b>", "javascript:", "\\",
    "$\\frac$", "{", "%s", "~", "/", " ", "\n", "\u2028", "\u202e", "ψ", "\udc80", "\ud83d", "x",
)  # fmt: skip


class _Structure(html.parser.HTMLParser):
    """Every tag with its attributes' names, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.values: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/" + tag, ()))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The content of a report of two methods, that differ in an option, with all its parts."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        make_run(folder / "a", "Hopper2D", "admrl", step_size=2.0),
        make_run(folder / "b", "Hopper2D", "admrl", step_size=4.0, finished=False),
    ]
    for run in runs:
        make_evaluation(run)
    content = collect(read_runs(runs))
    (family,) = content["families"]
    label = family["labels"][0]
    film = {
        "label": label, "kind": "best", "by": "gap", "psi": [0.0, 1.0], "gap": 1.0, "return": 2.0,
        "ended": "fell", "seconds": 1.0, "slowed": 2.0, "name": "film",
    }  # fmt: skip
    family |= {"films": [film], "films_missing": "no camera"}
    return content


NAMED = {"methods", "seeds", "varied", "given_by", "settings"}  # whose keys are somebody's names


def planted(value: Any, piece: str, parent: str = "") -> Any:
    """A copy with the piece behind every string, and behind the keys that are names."""
    if isinstance(value, str):
        return value and value + piece  # an empty one stays: there is nothing to say
    if isinstance(value, dict):
        return {
            key + piece if parent in NAMED else key: planted(v, piece, key)
            for key, v in value.items()
        }
    return [planted(v, piece) for v in value] if isinstance(value, list) else value


def rendered(content: dict[str, Any], folder: pathlib.Path, words: str) -> str:
    """The page, with one picture and one film that `words` describe."""
    (family,) = content["families"]
    picture = Picture("tasks", "picture", words, words)
    for film in family["films"]:
        film["name"] = "film"  # of its file
    for name in ("picture.svg", "film.png", "film.webp"):
        (folder / name).write_bytes(b"<svg/>")
    page = folder / "index.html"
    write_page(content, {family["name"]: [picture]}, folder, page)
    return page.read_text(encoding="utf-8")


def _shown(piece: str) -> str:
    return piece.encode("utf-8", "backslashreplace").decode()


def test_every_planted_string_is_shown_as_text(
    values: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """The page has the tags and attributes that it has without it, and the text besides."""
    plain = _Structure(rendered(planted(values, ""), tmp_path, "words"))
    dice = random.Random(23)
    pieces = [*PIECES, *("".join(dice.choices(PIECES, k=dice.randint(2, 9))) for _ in range(60))]
    for piece in pieces:
        content = planted(values, piece)
        page = _Structure(rendered(content, tmp_path, "words" + piece))
        assert page.tags == plain.tags, piece
        text, shown = "".join(page.text), _shown(piece)
        (family,) = content["families"]
        run = family["runs"][0]
        for place in (family["name"], family["labels"][0], family["films_missing"], run["path"],
                      run["commit"] or "", family["grids"][0]["title"], run["preset"],
                      family["grids"][0]["oracle"]["learner"], "words" + piece):  # fmt: skip
            assert _shown(place) in text, (piece, place)
        assert text.count(shown) > 20
        assert all(v.startswith(("data:", "#")) for v in page.values)


def test_a_string_that_was_not_escaped_would_be_found(
    values: dict[str, Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _Structure(rendered(planted(values, ""), tmp_path, "words"))
    monkeypatch.setattr("html.escape", lambda text, quote=True: text)
    content = planted(values, "<i>")
    assert _Structure(rendered(content, tmp_path, "words")).tags != plain.tags


def test_names_of_folders_and_test_sets(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command: what a user can call by any name, a file's not in UTF-8 among them."""

    def no_camera(_: Any) -> None:
        raise NoCameraError("<i>nothing</i>")

    monkeypatch.setattr(films, "Camera", no_camera)
    evil = "<script>'\"&amp;"
    run = make_run(tmp_path / f"run{evil}", "Hopper2D")
    evaluation = make_evaluation(run)
    evaluation.rename(evaluation.parent / f"{evil}\udc80")
    out = tmp_path / "report"
    assert cli.main(["report", str(run), "--out", str(out)]) == 0
    page = _Structure((out / "index.html").read_text(encoding="utf-8"))
    assert not {"script", "i"} & {tag for tag, _ in page.tags}
    text = "".join(page.text)
    assert f"run{evil}" in text
    assert _shown(f"tasks of {evil}\udc80") in text
    assert "<i>nothing</i>" in text
