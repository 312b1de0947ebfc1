"""Flags from dataclasses, as `transformers` reads them."""

import argparse
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from transformers import HfArgumentParser

from hfaudio.command_line import FlagParser, exit_on, show_messages

__all__ = ["CommandLineParser"]


class _ShowAllHelp(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        argparse.ArgumentParser.print_help(parser)
        raise SystemExit(0)


class CommandLineParser(FlagParser, HfArgumentParser):
    """Reads dataclasses from flags, or from a YAML file of the same names as the first argument; flags win.

    Args:
        dataclass_types: What to read.
        rarely_used: Names of flags that only `--help_all` shows.
        unnamed: The flag that the first arguments fill, up to the first flag.
        **kwargs: As `argparse.ArgumentParser` takes them.
    """

    def __init__(
        self,
        dataclass_types: Sequence[Any],
        rarely_used: Collection[str] = (),
        unnamed: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataclass_types, unnamed=unnamed, **kwargs)
        self._rarely_used = frozenset(rarely_used)
        if self._rarely_used:
            self.add_argument("--help_all", action=_ShowAllHelp, help="show every flag and exit")
        for action in self._actions:
            if action.help:
                action.help = " ".join(action.help.split())

    def print_help(self, file: Any = None) -> None:
        """Prints the flags that are used often."""
        hidden = [action for action in self._actions if action.dest in self._rarely_used]
        texts = [action.help for action in hidden]
        for action in hidden:
            action.help = argparse.SUPPRESS
        super().print_help(file)
        for action, text in zip(hidden, texts, strict=True):
            action.help = text

    def parse(self, argv: Sequence[str]) -> tuple[Any, ...]:
        """Returns one instance of each dataclass.

        Args:
            argv: The arguments, without the program's name.
        """
        flags = self.flags(argv)
        with exit_on(ValueError):
            *instances, unknown = self.parse_args_into_dataclasses(
                flags, look_for_args_file=False, return_remaining_strings=True
            )
        if unknown:
            self.error(f"unknown flags: {' '.join(unknown)}")
        show_messages()
        return tuple(instances)
