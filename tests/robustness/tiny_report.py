"""A project of two notebooks, a training and its reader, made by the real Makefile, Snakefile, runner and renderer."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from wbc_utils.manifest import Manifest, read_manifest

SOURCE = Path(__file__).parents[2]
NUMBERS = ("01", "02")
COST = {"hardware": "any", "minutes": 1, "memory_gib": 1, "expect": "a number", "command": "make report"}
HEAD = "# {} · A toy\n\n**Question.** Does it run?\n\n**Answer.** {{{{answer}}}}"
PARAMETERS = 'profile: str = "demo"\nseed: int = 0'

TRAINING = (
    "from time import sleep\n"
    "import torch\n"
    "from toy_task import ToyTask\n"
    "from wbc_utils import paths, repro\n"
    "from wbc_utils.fit import fit\n"
    "from wbc_utils.recipe import Recipe",
    "torch.set_num_threads(1)\n"
    "task = ToyTask(dropout=0.5, before=lambda epoch, step: sleep(0.02))\n"
    "recipe = Recipe(epochs=10, batch_size=4, learning_rate=0.05, warmup_epochs=1)\n"
    "checkpoint = paths.run_dir(profile, '01') / 'checkpoints' / f'{seed}.pt'\n"
    "fitted = fit(task, recipe, seed=seed, checkpoint=checkpoint)",
    "history = fitted.history.drop(columns='seconds')\n"
    "history.to_csv(paths.output_dir(profile, '01') / 'history.csv', index=False)\n"
    "weights = sum(float(weight.detach().abs().sum()) for weight in fitted.model.parameters())\n"
    "repro.record('toy.weights', weights, n=len(history))\n"
    "repro.answer('It learned.')",
)
READER = (
    "import csv\nfrom wbc_utils import paths, repro",
    "with paths.upstream_table(profile, '01', 'history.csv').open() as file:\n"
    "    losses = [float(row['loss']) for row in csv.DictReader(file)]\n"
    "(paths.output_dir(profile, '02') / 'least.csv').write_text(f'{min(losses)}\\n')\n"
    "repro.record('toy.least_loss', min(losses), n=len(losses))\n"
    "repro.answer('It was read.')",
)

PROGRAM = """#!{python}
from wbc_utils import params
class Training(params.Parameters):
    pass
class Reader(params.Parameters):
    needs = ("01",)
params.NOTEBOOKS = {{"01": Training, "02": Reader}}
from {module} import main
main()
"""


class TinyReport:
    """A project folder with its own ``.venv/bin``, whose programs know the two notebooks only."""

    def __init__(self, root: Path):
        self.root = root
        self.reports, self.runs = root / "reports" / "demo", root / "runs" / "demo"

    @classmethod
    def create(cls, root: Path) -> "TinyReport":
        """Write the project, with the seed 0."""
        for name in ("Makefile", "Snakefile", "requirements.lock", "pyproject.toml"):
            root.mkdir(exist_ok=True)
            shutil.copy(SOURCE / name, root)
        shutil.copytree(SOURCE / "profiles", root / "profiles")
        programs = root / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, module in {"wbc": "wbc_utils.cli", "snakemake": "snakemake.cli"}.items():
            (programs / name).write_text(PROGRAM.format(python=sys.executable, module=module))
            (programs / name).chmod(0o755)
        (programs / ".ready").touch()
        (root / "notebooks").mkdir()
        for number, cells in zip(NUMBERS, (TRAINING, READER), strict=True):
            parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
            head, code = nbformat.v4.new_markdown_cell(HEAD.format(number)), map(nbformat.v4.new_code_cell, cells)
            notebook = nbformat.v4.new_notebook(cells=[head, parameters, *code])
            nbformat.write(notebook, root / "notebooks" / f"{number}_toy.ipynb")
        (root / "params" / "demo").mkdir(parents=True)
        (root / "params" / "claims.yaml").write_text("[]\n")
        return cls(root).with_seed(0)

    def with_seed(self, seed: int) -> "TinyReport":
        """Change the seed of both notebooks, so that both have to run, and return the project."""
        for number in NUMBERS:
            content = {"cost": COST, "parameters": {"seed": seed}}
            (self.root / "params" / "demo" / f"{number}.yaml").write_text(yaml.safe_dump(content))
        return self

    def copy(self, root: Path) -> "TinyReport":
        """Return a copy, with all that was made and with the times of all files."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return TinyReport(root)

    def start(self, log: str = "log") -> subprocess.Popen:
        """Start ``make report`` in a process group of its own; what it says goes to a file."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.root), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(SOURCE / "tests"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with (self.root.parent / f"{self.root.name}.{log}").open("w") as said:
            return subprocess.Popen(
                ["make", "report"], cwd=self.root, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    def said(self, log: str = "log") -> str:
        return (self.root.parent / f"{self.root.name}.{log}").read_text()

    def make(self) -> None:
        """Make the report; that it cannot be made is an error."""
        assert self.start().wait(timeout=1200) == 0, self.said()[-3000:]

    def kill(self, maker: subprocess.Popen) -> None:
        """Kill all that ``make`` has started; a kernel has a group of its own and looks after itself."""
        os.killpg(maker.pid, signal.SIGKILL)
        maker.wait()

    def manifest(self, number: str) -> Manifest:
        return read_manifest(self.reports / "manifests" / f"{number}.json")

    def published(self) -> dict[str, bytes]:
        """Return the content of every page and manifest; what is hidden was being written."""
        files = [path for path in self.reports.rglob("[!.]*") if path.is_file()]
        return {path.relative_to(self.reports).as_posix(): path.read_bytes() for path in files}

    def results(self) -> dict[str, object]:
        """Return what does not depend on time and machine: parameters, numbers, answers and tables."""
        found = {}
        for number in NUMBERS:
            manifest = self.manifest(number)
            tables = {path.name: path.read_text() for path in (self.runs / number / "tables").iterdir()}
            found[number] = (manifest.parameters, manifest.metrics, manifest.answer, tables)
        return found

    def files(self) -> set[str]:
        """Return the names of all files and folders under runs/ and reports/, hidden ones too."""
        places = (self.root / "runs", self.root / "reports")
        return {path.relative_to(self.root).as_posix() for place in places for path in place.rglob("*")}


def is_whole_page(content: bytes) -> bool:
    return re.search(rb"</html>\s*\Z", content) is not None
