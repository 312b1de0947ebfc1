"""What the scripts share: flags or a YAML file of the same names, help that reads well, and errors for people.

Needs neither torch nor transformers. A script imports it before them, so that Ctrl-C meanwhile is answered too.
"""

import argparse
import errno
import json
import logging
import math
import os
import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NoReturn

import yaml

from hfaudio.regular_files import NotRegularError, only_regular

__all__ = ["FlagParser", "exit_on", "exit_on_interrupt", "printable", "run_script", "show_messages"]

USAGE_ERROR = 2
INTERRUPTED = 130  # as a shell has it for SIGINT
AGAIN_SECONDS = 0.05  # until an interruption that could not be answered is repeated
STOPPED_READING = 141  # as where SIGPIPE ends a program
ALIKE = 0.8  # a flag this near is what was meant, so that no other script needs be asked
TRUTH = dict.fromkeys(("yes", "true", "t", "y", "1"), True) | dict.fromkeys(("no", "false", "f", "n", "0"), False)
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would act on or cannot show, such as line breaks."""
    shown = (one if one.isprintable() else _escaped(one) for one in text)
    return text if text.isprintable() else "".join(shown)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as Python holds it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _fail(message: str, code: int = USAGE_ERROR, kind: str = "error") -> NoReturn:
    if os.environ.get("RANK", "0") == "0":  # one of several processes is enough to say it
        print(f"{kind}: {printable(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


class _OneLine(logging.Formatter):
    """Messages with names in them, as a terminal can show them."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def show_messages() -> None:
    """Lets people see what the package has to say; as a library it says only warnings."""
    logger = logging.getLogger("hfaudio")
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.ERROR)
    logger.handlers[:] = [logging.StreamHandler(sys.stderr)]
    logger.handlers[0].setFormatter(_OneLine())


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


@contextmanager
def exit_on_interrupt(how_to_go_on: str) -> Iterator[None]:
    """Ends the program with one line on stderr and exit code 130 when the user presses Ctrl-C.

    Args:
        how_to_go_on: The end of the line; of several such blocks inside each other the innermost one says it.
    """
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would end what is being put in order
        _fail(how_to_go_on, INTERRUPTED, kind="interrupted")


def run_script(
    main: Callable[[list[str]], int | None], how_to_go_on: str = "nothing is kept; run it again"
) -> NoReturn:
    """Runs a script as the program that it is, and ends it with its exit code.

    Args:
        main: Takes the arguments without the program's name, and returns the exit code.
        how_to_go_on: What to say on Ctrl-C; see `exit_on_interrupt`.
    """
    _Interruptions().install()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name may hold what the terminal's encoding cannot show
    try:
        with exit_on_interrupt(how_to_go_on):
            code = main(sys.argv[1:])
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which Python flushes at its end
        if error.errno != errno.EPIPE:
            _fail(f"Expected room on the disk, found none ({error}); make some and run it again.")
        code = STOPPED_READING  # whoever reads has enough, as `head` has
    raise SystemExit(code)


class _Interruptions:
    """Has the main process answer Ctrl-C, wherever it is and however many processes it forks."""

    def __init__(self) -> None:
        self._forking = self._waiting = False
        self._show = sys.unraisablehook

    def install(self) -> None:
        """From here on none is lost, unless they are ignored, as with nohup."""
        if signal.getsignal(signal.SIGINT) not in (_leave, signal.default_int_handler):
            return
        signal.signal(signal.SIGINT, self._interrupt)
        sys.unraisablehook = self._catch_lost
        if hasattr(os, "register_at_fork"):  # last, and so around what other packages do at a fork
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._leave_to_the_first
            )

    def _interrupt(self, *_: Any) -> None:
        if not self._forking:
            raise KeyboardInterrupt
        self._waiting = True  # what other packages do at a fork, such as taking locks, must not end half-way

    def _catch_lost(self, lost: Any) -> None:
        # Where nobody could catch it, as in __del__, Python throws an exception away.
        if issubclass(lost.exc_type, KeyboardInterrupt):
            self._repeat()
        else:
            self._show(lost)

    def _before_fork(self) -> None:
        self._forking = True

    def _after_fork(self) -> None:
        self._forking = False
        if self._waiting:
            self._waiting = False
            self._repeat()

    def _leave_to_the_first(self) -> None:
        # The terminal interrupts forked processes too, which end with the one that forked them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _repeat(self) -> None:
        timer = threading.Timer(AGAIN_SECONDS, _interrupt_main)
        timer.daemon = True
        timer.start()


def _interrupt_main() -> None:
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):  # which ends what the main thread waits for
        signal.pthread_kill(main, signal.SIGINT)
    else:
        interrupt_main()


def _leave(*_: Any) -> NoReturn:
    os.write(2, b"interrupted: before it began; run it again\n")
    os._exit(INTERRUPTED)


def _leave_while_importing() -> None:
    """Answers Ctrl-C in the seconds before a script of ours runs, when nothing can be lost."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    ours = script is not None and Path(script).resolve().parent.name == SCRIPTS.name
    if ours and signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # and not ignored, as with nohup
        signal.signal(signal.SIGINT, _leave)


_leave_while_importing()


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


class _EachOnceLoader(yaml.BaseLoader):
    """Refuses a key that stands twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.YAMLError("a name that stands twice")
        return mapping


def _scripts_with(flag: str, program: str) -> list[str]:
    """The other scripts that have a flag; those that cannot be imported here are not asked."""
    found = []
    for path in sorted(SCRIPTS.glob("*.py")):
        spec = spec_from_file_location(f"{path.stem}_script", path)
        if path.name == program or spec is None or spec.loader is None:
            continue
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError:
            continue
        if f"--{flag}" in module.make_parser()._option_string_actions:
            found.append(path.name)
    return found


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
        named = self._named(argv)
        self._refuse_mistakes(named)
        return [*flags, *named]

    def error(self, message: str) -> NoReturn:
        """Exits with code 2 and one sentence, without the usage."""
        _fail(f"{message} See --help." if message.endswith("?") else f"{message}; see --help.")

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

    def _is_flag(self, argument: str) -> bool:
        name = argument.partition("=")[0]
        return (
            name.startswith("-")
            and name != "-"
            and " " not in name  # as argparse has it
            and not self._negative_number_matcher.match(name)
        )

    def _refuse_mistakes(self, argv: Sequence[str]) -> None:
        """Refuses flags that there are not, and those that are given twice with different values."""
        given: dict[str, tuple[str, list[str]]] = {}
        flag, values = "", list[str]()
        for argument in [*argv, "--"]:
            if not self._is_flag(argument) and argument != "--":
                values.append(argument)
                continue
            if flag:
                former = given.setdefault(self._option_string_actions[flag].dest, (flag, values))
                if former != (flag, values):
                    shown = " and ".join(" ".join((name, *own)) for name, own in (former, (flag, values)))
                    self.error(f"expected each flag once, found {shown}; give one of them")
            flag, equals, value = argument.partition("=")
            values = [value] if equals else []
            if flag != "--" and flag not in self._option_string_actions:
                at_path = f"; a file of that name is ./{argument}" if os.path.exists(argument) else ""
                self.error(f"unknown flag {flag}{self._instead_of(flag)}{at_path}")

    def _instead_of(self, flag: str) -> str:
        """What the user may have meant by a flag that is not there, as the end of a sentence."""
        wanted = flag.lstrip("-").replace("-", "_")
        own = [name.lstrip("-") for name, action in self._option_string_actions.items() if action.dest != "help"]
        nearest = get_close_matches(wanted, own, 1, cutoff=ALIKE)
        others = [] if nearest else _scripts_with(wanted, self.prog)
        nearest = nearest or get_close_matches(wanted, own, 1)
        elsewhere = f", which is a flag of {' and '.join(others)}" if others else ""
        return f"{elsewhere}: did you mean --{nearest[0]}?" if nearest else elsewhere

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            nearest = get_close_matches(str(value), list(map(str, action.choices or ())), 1)
            hint = f": did you mean {nearest[0]}?" if nearest else ""
            raise argparse.ArgumentError(action, f"{error.message}{hint}") from None

    def _named(self, argv: Sequence[str]) -> list[str]:
        """Puts the flag before arguments that stand without one: first, or after a flag that has its values."""
        unnamed: list[str] = []
        rest: list[str] = []
        values = 0.0  # that the last flag may still take
        for argument in argv:
            if self._is_flag(argument):
                values = self._values_of(argument)
                rest.append(argument)
            elif values and not self._is_no_value(rest[-1], argument):
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

    def _is_no_value(self, flag: str, argument: str) -> bool:
        """Whether an argument cannot be the value of the flag before it, which may also stand without one."""
        action = self._option_string_actions.get(flag)
        is_switch = action is not None and action.nargs == "?" and action.const is True and action.type is not str
        return is_switch and argument.lower() not in TRUTH

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
                settings = yaml.load(file, Loader=_EachOnceLoader)
        except NotRegularError as error:
            self.error(f"expected a YAML file of flags at {path}, which {error}")
        except FileNotFoundError:
            self.error(f"expected a YAML file of flags at {path}, found none")
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            self.error(f"expected YAML in {path}, found {error}")
        if not settings:
            return []
        if not isinstance(settings, dict):
            self.error(f"expected one 'flag: value' a line in {path}, found a {type(settings).__name__}")
        known = {action.dest: action for action in self._actions}
        flags: list[str] = []
        for name, value in settings.items():
            if name not in known:
                self.error(f"expected the names of flags in {path}, found {name!r}{self._instead_of(str(name))}")
            if known[name].nargs == 0:
                if str(value).lower() not in TRUTH:
                    self.error(f"expected true or false for {name} in {path}, found {value!r}")
                flags += [f"--{name}"] if TRUTH[str(value).lower()] else []
            elif value:
                values = (
                    value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
                )
                flags += [f"--{name}", *values]
        return flags
