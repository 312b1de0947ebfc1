"""Names of classes that look like mistakes: one class in two spellings, or several classes in one name."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["ClassDoubt", "doubtful_classes"]

LIST_SEPARATORS = (";", "|")  # nobody writes them within a name
OTHER_SEPARATORS = ("+", "&", "/", " ", "_", "-")  # many names have them
WRITTEN_LIST = re.compile(r"[\[({].*[\])}]|[01]([ ,;|]+[01])+", re.DOTALL)
NO_NAMES = frozenset({"nan", "null", "#n/a", "<na>"})
BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")
BLANKS = re.compile(r"(?<=.)[\s_-]+")  # not the sign of a number


@dataclass(frozen=True, slots=True)
class ClassDoubt:
    """A class whose name looks like a mistake; as text, a few words that say why.

    Attributes:
        index: Of the class.
        name: Of the class.
        reason: What it looks like, and what to do.
    """

    index: int
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name!r} {self.reason}"


def doubtful_classes(names: Sequence[str]) -> list[ClassDoubt]:
    """Finds classes whose names differ in spelling alone, or look like lists of classes.

    Spelling is upper and lower case, blanks, hyphens and underscores, and Unicode forms. A name looks like a list
    where a semicolon or a bar separates what other names have too; where commas separate what other names have too,
    every piece of it; where another sign separates what are classes of their own, in every name that has the sign; or
    where it is written as a list.

    Args:
        names: In the order of their indices.

    Example:
        >>> [str(doubt) for doubt in doubtful_classes(["dog", "bird", "Dog"])]
        ["'Dog' differs from 'dog' in spelling alone"]
    """
    lists = {**dict(_sign_lists(names)), **dict(_separated(names))}
    doubts = []
    first: dict[str, str] = {}
    for index, name in enumerate(names):
        alike = first.setdefault(_spelling(name), name)
        if alike != name:
            doubts.append(ClassDoubt(index, name, f"differs from {alike!r} in spelling alone"))
        elif name in lists:
            doubts.append(ClassDoubt(index, name, lists[name]))
        elif name.casefold() in NO_NAMES:
            doubts.append(ClassDoubt(index, name, "looks like an empty cell"))
    return doubts


def _spelling(name: str) -> str:
    """What two spellings of a name have in common; beside digits a sign stays one, as `1-1` is not `11`."""
    text = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) != "Cf")
    return BLANKS.sub(" ", BETWEEN_LETTERS.sub("", text.strip().strip("_"))).casefold()


def _sign_lists(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if WRITTEN_LIST.fullmatch(name):
            yield name, "looks like a list: write the names of its classes with a separator between them"


def _separated(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    alone = set(names)
    for separator in (*LIST_SEPARATORS, ",", *OTHER_SEPARATORS):
        pieces = {name: _pieces(name, separator) for name in names if separator in name}
        pieces = {name: own for name, own in pieces.items() if len(own) > 1}
        uses = Counter(piece for own in pieces.values() for piece in set(own))
        if separator in LIST_SEPARATORS:
            several = [
                name
                for name, own in pieces.items()
                if len(pieces) > 1 or any(piece in alone or uses[piece] > 1 for piece in own)
            ]
        elif separator == ",":
            several = [name for name, own in pieces.items() if all(piece in alone or uses[piece] > 1 for piece in own)]
        else:
            several = list(pieces) if all(piece in alone for own in pieces.values() for piece in own) else []
        for name in several:
            yield (
                name,
                f"looks like the classes {' and '.join(map(repr, pieces[name][:3]))}: if it is, give "
                f"--label_separator {separator!r}",
            )


def _pieces(name: str, separator: str) -> list[str]:
    return [piece for part in name.split(separator) if (piece := part.strip())]
