"""Writes the settings with which this machine's pip reaches its index, for a build elsewhere: pip.conf and ca.pem.

Usage: python3 pip_settings.py FOLDER
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
CERTIFICATES = "/run/secrets/ca.pem"  # where the Dockerfile's secret of that name lies


def pip_settings() -> dict[str, str]:
    """The settings of pip's files and of its environment, which wins."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, stdout=subprocess.PIPE)
    settings = {}
    for line in sorted(listing.stdout.decode().splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    return settings


def main(folder: Path) -> None:
    settings = pip_settings()
    lines = ["[global]"]
    for name in KEPT:
        values = [value for value in settings.get(name, "").split() if not value.startswith("file:")]
        if values:
            lines.append(f"{name} = {' '.join(values)}")
    named = (settings.get("cert"), os.environ.get("REQUESTS_CA_BUNDLE"), os.environ.get("SSL_CERT_FILE"))
    certificates = next(filter(None, named), None)
    if certificates is not None:
        shutil.copyfile(certificates, folder / "ca.pem")
        lines.append(f"cert = {CERTIFICATES}")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
