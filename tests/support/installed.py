"""The wheel in an environment of its own, with no checkout near and no network."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel, and an empty folder to work in."""

    home: Path
    wheel: Path

    def environment(self) -> dict[str, str]:
        """The caller's variables without those that would lead back to the checkout."""
        dropped = ("PYTHON", "CIRCUITSEER_", "STREAMLIT_", "VIRTUAL_ENV")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        return kept | {"HOME": str(self.home), "OMP_NUM_THREADS": "1"}

    def script(self, name: str) -> str:
        """The path of a command of the environment: ``python``, ``circuitseer``."""
        return str(self.home / "venv" / "bin" / name)

    def run(self, name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment to its end in ``cwd``."""
        return subprocess.run(
            [self.script(name), *arguments], cwd=cwd, env=self.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def install_wheel(home: Path) -> Installed:
    """Build the wheel and install it, alone, in ``home/venv``.

    Its dependencies are those of the running interpreter, seen through a .pth file: a venv with
    system site-packages would see the base interpreter's, not those of the venv that tests run in.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = (home / "dist").glob("*.whl")
    venv.create(home / "venv", with_pip=False)
    scheme = {"base": str(home / "venv"), "platbase": str(home / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "venv" / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return Installed(home, wheel)
