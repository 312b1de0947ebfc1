"""The command line as a public card may show it."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence

__all__ = ["shown_command"]

TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{10,}")
HIDDEN = "hf_..."
PRECISION_OF_ACCELERATE = "ACCELERATE_MIXED_PRECISION"  # which `accelerate launch` always sets


def shown_command(
    script: str, flags: Sequence[str], processes: int = 1, environment: Mapping[str, str] = os.environ
) -> str:
    """The command that starts such a run again, less access tokens.

    Args:
        script: Its path in the repository.
        flags: What it was given, with those of a YAML file written out.
        processes: How many trained together.
        environment: Tells what launched them.
    """
    words = [*_launcher(processes, environment.get(PRECISION_OF_ACCELERATE)), script, *_without_tokens(flags)]
    return shlex.join(TOKEN.sub(HIDDEN, word) for word in words)


def _launcher(processes: int, precision: str | None) -> list[str]:
    if precision is not None:
        several = ["--num_processes", str(processes)] if processes > 1 else []
        return ["accelerate", "launch", *several, *(["--mixed_precision", precision] if precision != "no" else [])]
    return ["python"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]


def _without_tokens(flags: Sequence[str]) -> list[str]:
    kept = []
    rest = iter(flags)
    for flag in rest:
        name, equals, _ = flag.partition("=")
        if not (name.startswith("--") and name.endswith("token")):
            kept.append(flag)
        elif not equals:
            next(rest, None)
    return kept
