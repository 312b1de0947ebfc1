"""Text of others as Markdown that shows it and does nothing else."""

import json
import re
import shlex
import unicodedata
from collections.abc import Sequence

from markupsafe import Markup

from hfaudio.data.bidirectional_text import show_overrides

__all__ = ["code_block", "markdown_table", "markdown_text", "python_text", "shell_text"]

# An underscore within a word is no emphasis, and may be part of what is looked for, such as a class or a token.
SPECIAL = re.compile(r"[\\`*\[\]~|<>&$#]|(?<![^\W_])_|_(?![^\W_])")
FENCE = "```"
NOTHING = "\N{EN DASH}"


def markdown_text(value: object) -> Markup:
    """Writes a value so that it stands there as text: in a sentence, a heading or the cell of a table.

    What would turn round the text after it is escaped with a backslash.

    What Markdown or HTML would take for something else becomes a character reference, which no reader takes for a part
    of a table, a tag or an emphasis (CommonMark 0.31, section 2.5). Line breaks become spaces.

    Args:
        value: Anything; what is `Markup` already is left alone.

    Example:
        >>> print(markdown_text("a|b<i>"))
        a&#124;b&#60;i&#62;
    """
    if isinstance(value, Markup):
        return value
    line = " ".join("".join(map(_plain, show_overrides(str(value)))).split())
    return Markup(SPECIAL.sub(lambda found: f"&#{ord(found[0])};", line))


def markdown_table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """Writes a table, with every cell as `markdown_text` writes it; columns without letters stand on the right.

    Args:
        header: The names of the columns.
        rows: With a cell for each; None is a dash.
    """
    written = [[NOTHING if cell is None else markdown_text(cell) for cell in row] for row in rows]
    sides = ["---" if any(map(_has_letters, column)) else "---:" for column in zip(*written, strict=True)]
    lines: list[Sequence[str]] = [[markdown_text(name) for name in header], sides or ["---"] * len(header), *written]
    return Markup("\n".join(f"| {' | '.join(line)} |" for line in lines))


def code_block(code: str, language: str) -> Markup:
    """Writes code between fences that are longer than any it holds."""
    code = code.strip("\n")
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = FENCE + "`" * max(0, longest - len(FENCE) + 1)
    return Markup(f"{fence}{language}\n{code}\n{fence}")


def python_text(value: str) -> Markup:
    """Writes text as a literal of Python, for a block of code."""
    return Markup(json.dumps(value, ensure_ascii=False))


def shell_text(value: str) -> Markup:
    """Writes text as one word of a command line, for a block of code."""
    return Markup(shlex.quote(value))


def _plain(character: str) -> str:
    return " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character


def _has_letters(cell: str) -> bool:
    return any(one.isalpha() for one in cell)
