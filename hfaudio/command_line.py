"""What the scripts share: flags or a YAML file of the same names, help that reads well, and errors for people.

Needs neither torch nor transformers.
"""

import argparse
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import yaml

from hfaudio.regular_files import NotRegularError, only_regular

__all__ = ["FlagParser", "exit_on", "show_messages"]

USAGE_ERROR = 2


def _fail(message: str, code: int = USAGE_ERROR) -> NoReturn:
    if os.environ.get("RANK", "0") == "0":  # one of several processes is enough to say it
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def show_messages() -> None:
    """Lets people see what the package has to say; as a library it says only warnings."""
    logger = logging.getLogger("hfaudio")
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.ERROR)
    logger.handlers[:] = [logging.StreamHandler(sys.stderr)]


@contextmanager
def exit_on(*mistakes: type[Exception], code: int = USAGE_ERROR) -> Iterator[None]:
    """Ends the program with one sentence on stderr, without a traceback, on a mistake of the user's.

    Args:
        *mistakes: The exceptions that are the user's mistakes; their text is the sentence.
        code: The exit code.
    """
    try:
        yield
    except mistakes as mistake:
        _fail(str(mistake), code)


class _HelpFormatter(argparse.HelpFormatter):
    """One spelling a flag, and defaults where there are any."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=112)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        value = "" if action.nargs == 0 or (action.type is not None and action.nargs == "?") else " ..."
        choices = "|".join(map(str, action.choices)) if action.choices else ""
        flag = next(flag for flag in action.option_strings if flag.startswith("--"))
        return flag + (f" {choices}" if choices else value)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, [], argparse.SUPPRESS) or action.nargs == 0:
            return action.help
        return f"{action.help} [%(default)s]"


class FlagParser(argparse.ArgumentParser):
    """Reads flags, or a YAML file of the same names as the first argument; flags win.

    Args:
        *args: As those of `argparse.ArgumentParser`, or of another class with it.
        unnamed: The flag that arguments without one fill.
        **kwargs: The same.
    """

    def __init__(self, *args: Any, unnamed: str | None = None, **kwargs: Any) -> None:
        kwargs |= {"formatter_class": _HelpFormatter, "allow_abbrev": False}
        super().__init__(*args, **kwargs)
        self._unnamed = unnamed

    def flags(self, argv: Sequence[str]) -> list[str]:
        """The arguments as flags alone.

        Args:
            argv: The arguments, without the program's name.
        """
        flags: list[str] = []
        if argv and Path(argv[0]).suffix in (".yaml", ".yml"):
            flags, argv = self._flags_from_yaml(Path(argv[0])), argv[1:]
        return [*flags, *self._named(argv)]

    def error(self, message: str) -> NoReturn:
        """Exits with code 2 and one sentence, without the usage."""
        _fail(f"{message}; see --help.")

    def format_usage(self) -> str:
        """One line, in place of a hundred flags."""
        return f"usage: {self.prog} {self._arguments()}\n"

    def format_help(self) -> str:
        """The help, with the one-line usage."""
        self.usage = f"%(prog)s {self._arguments()}"
        return super().format_help()

    def _arguments(self) -> str:
        unnamed = f" [{self._unnamed} ...]" if self._unnamed else ""
        return f"[config.yaml]{unnamed} [--flag value ...]"

    def _named(self, argv: Sequence[str]) -> list[str]:
        """Puts the flag before arguments that stand without one: first, or after a flag that has its values."""
        unnamed: list[str] = []
        rest: list[str] = []
        values = 0.0  # that the last flag may still take
        for argument in argv:
            if argument.startswith("-") and argument != "-" and not self._negative_number_matcher.match(argument):
                values = self._values_of(argument)
                rest.append(argument)
            elif values:
                values -= 1
                rest.append(argument)
            else:
                unnamed.append(argument)
        if not unnamed or self._unnamed is None:
            return list(argv)
        flag = f"--{self._unnamed}"
        if any(argument.partition("=")[0] == flag for argument in rest):
            self.error(f"{unnamed[0]} and {flag} both name the {self._unnamed}: give one of them")
        return [flag, *unnamed, *rest]

    def _values_of(self, flag: str) -> float:
        """How many arguments after a flag are its own, at most."""
        action = self._option_string_actions.get(flag)
        if action is None:  # it has its value after an equals sign, or is unknown and to be named with what follows
            return 0 if "=" in flag else 1
        if isinstance(action.nargs, int):
            return action.nargs
        return math.inf if action.nargs in ("*", "+") else 1

    def _flags_from_yaml(self, path: Path) -> list[str]:
        try:
            with open(path, encoding="utf-8", opener=only_regular) as file:
                # The base loader leaves every value the text that it would be on the command line: `no` stays `no`.
                settings = yaml.load(file, Loader=yaml.BaseLoader)
        except NotRegularError as error:
            self.error(f"expected a YAML file of flags at {path}, which {error}")
        except OSError:
            self.error(f"expected a YAML file of flags at {path}, found none")
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            self.error(f"expected YAML in {path}, found {error}")
        if not settings:
            return []
        if not isinstance(settings, dict):
            self.error(f"expected one 'flag: value' a line in {path}, found a {type(settings).__name__}")
        known = {action.dest for action in self._actions}
        flags: list[str] = []
        for name, value in settings.items():
            if name not in known:
                self.error(f"expected the names of flags in {path}, found {name!r}")
            if value:
                values = (
                    value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
                )
                flags += [f"--{name}", *values]
        return flags
