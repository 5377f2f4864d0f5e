"""The Snakemake profile for SLURM, executed on a single-node SLURM."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from wbc_utils import params
from wbc_utils.manifest import read_manifest

ROOT = Path(__file__).parents[2]
SINGLE_NODE = Path(__file__).with_name("single_node.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "srun")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(os.geteuid() != 0, reason="a single-node SLURM needs root"),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"no {', '.join(MISSING)}; on Debian: apt-get install slurmctld slurmd slurm-client munge",
    ),
]

RECORD_JOB = """
import os
from wbc_utils import repro
repro.record("toy.slurm_job", int(os.environ["SLURM_JOB_ID"]), n=1, split="none")
"""


@pytest.fixture(scope="module")
def environment():
    """Start a single-node SLURM, which lives until its standard input is closed; yield what leads to it."""
    command = [SINGLE_NODE, "sh", "-c", 'echo "$SLURM_CONF"; echo "$PATH"; cat']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cluster:
        config, path = Path(cluster.stdout.readline().strip()), cluster.stdout.readline().strip()
        assert config.name == "slurm.conf"
        yield {**os.environ, "SLURM_CONF": str(config), "PATH": f"{Path(sys.executable).parent}:{path}"}
    assert cluster.returncode == 0
    assert not config.exists()


class Project:
    """The real Snakefile, profile and cost cards around toy notebooks."""

    def __init__(self, root, environment):
        self.root, self.environment = root, environment
        shutil.copy(ROOT / "Snakefile", root)
        shutil.copytree(ROOT / "profiles" / "slurm", root / "profiles" / "slurm")
        shutil.copytree(ROOT / "params" / "demo", root / "params" / "demo")
        (root / "params" / "claims.yaml").write_text("[]\n")
        (root / "notebooks").mkdir()

    def write(self, number, code):
        head = nbformat.v4.new_markdown_cell(f"# {number} · A toy\n\n**Question.** Does it run?\n\n**Answer.** {{answer}}")
        parameters = nbformat.v4.new_code_cell('profile: str = "demo"', metadata={"tags": ["parameters"]})
        notebook = nbformat.v4.new_notebook(cells=[head, parameters, nbformat.v4.new_code_cell(code)])
        nbformat.write(notebook, self.root / "notebooks" / f"{number}_toy.ipynb")

    def manifest(self, number):
        return self.root / "reports" / "demo" / "manifests" / f"{number}.json"

    def snakemake(self, *targets):
        """Return the exit code, the words and the SLURM jobs, by rule, of one Snakemake call."""
        command = ["snakemake", "--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1"]
        done = subprocess.run(
            [*command, *targets],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        submitted = re.findall(r"submitted with SLURM jobid (\d+)", done.stdout)
        return done.returncode, done.stdout, {job["comment"]: job for job in map(self._job, submitted)}

    def _job(self, job_id):
        fields = ("JobID", "Comment", "State", "TimeLimit", "MinMemory", "cpus-per-task", "tres-per-job")
        form = ",".join(f"{field}:|" for field in fields)
        line = subprocess.check_output(
            ["squeue", "--noheader", "--noconvert", "--states=all", f"--jobs={job_id}", f"--Format={form}"],
            env=self.environment,
            text=True,
        )
        return dict(zip(map(str.lower, fields), line.strip().split("|"), strict=False))


@pytest.fixture
def project(tmp_path, environment):
    project = Project(tmp_path, environment)
    for number in params.NOTEBOOKS:
        project.write(number, RECORD_JOB)
    return project


def test_each_notebook_is_a_slurm_job_with_the_time_and_memory_of_its_cost_card(project):
    code, words, jobs = project.snakemake()
    print(words)
    print(jobs)
    assert code == 0, words
