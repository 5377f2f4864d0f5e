"""The Snakemake profile for SLURM, executed for real: ``pytest -m slurm tests/slurm`` (some minutes)."""

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
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue", "srun")
MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"no {', '.join(MISSING)}; on Debian: apt-get install slurmctld slurmd slurm-client munge",
    ),
]

FIELDS = ("JobID", "Comment", "State", "TimeLimit", "MinMemory", "cpus-per-task", "tres-per-job")
COST = {"hardware": "any", "expect": "a number", "command": "wbc run NN", "minutes": 1, "memory_gib": 0.5}
DOWNSTREAM = next(number for number, model in params.NOTEBOOKS.items() if model.needs)
UPSTREAM = params.NOTEBOOKS[DOWNSTREAM].needs[0]
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
        config, path = (cluster.stdout.readline().strip() for _ in range(2))
        assert config, "the single-node SLURM did not start"
        yield {**os.environ, "SLURM_CONF": config, "PATH": f"{Path(sys.executable).parent}:{path}"}
    assert cluster.returncode == 0
    assert not Path(config).exists()


class Project:
    """The real Snakefile and SLURM profile around toy notebooks, in a folder of its own."""

    def __init__(self, root, environment):
        self.root, self.environment = root, environment
        shutil.copy(ROOT / "Snakefile", root)
        shutil.copytree(ROOT / "profiles" / "slurm", root / "profiles" / "slurm")
        (root / "notebooks").mkdir()
        (root / "params" / "gpu").mkdir(parents=True)
        (root / "params" / "claims.yaml").write_text("[]\n")
        for number in params.NOTEBOOKS:
            self.write(number, RECORD_JOB)

    def write(self, number, code, **cost):
        head = f"# {number} · A toy\n\n**Question.** Does it run?\n\n**Answer.** {{answer}}"
        parameters = nbformat.v4.new_code_cell('profile: str = "demo"', metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell(head), parameters, nbformat.v4.new_code_cell(code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.root / "notebooks" / f"{number}_toy.ipynb")
        card = yaml.safe_dump({"cost": COST | cost, "parameters": {}})
        (self.root / "params" / "gpu" / f"{number}.yaml").write_text(card)

    def manifest(self, number):
        return self.root / "reports" / "gpu" / "manifests" / f"{number}.json"

    def outputs(self, number):
        return [path.read_bytes() for path in (self.manifest(number), self.root / "reports" / "gpu" / f"{number}.html")]

    def snakemake(self, number):
        """Bring one notebook up to date; return the exit code, the words and the SLURM jobs by notebook."""
        command = ["snakemake", "--profile", "profiles/slurm", "--config", "profile=gpu"]
        command += ["--slurm-init-seconds-before-status-checks", "5"]
        done = subprocess.run(
            [*command, "--", f"runs/gpu/{number}/done"],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        jobs = [self._job(job_id) for job_id in re.findall(r"submitted with SLURM jobid (\d+)", done.stdout)]
        return done.returncode, done.stdout, {job.pop("Comment").removeprefix("rule_notebook_"): job for job in jobs}

    def _job(self, job_id):
        columns = ",".join(f"{field}:|" for field in FIELDS)
        line = subprocess.check_output(
            ["squeue", "--states=all", f"--jobs={job_id}", "--noheader", "--noconvert", f"--Format={columns}"],
            env=self.environment,
            text=True,
        )
        return dict(zip(FIELDS, line.rstrip("|\n").split("|"), strict=True))


@pytest.fixture
def project(tmp_path, environment):
    return Project(tmp_path, environment)


def test_each_notebook_is_a_slurm_job_with_the_time_memory_and_gpu_of_its_cost_card(project):
    project.write(DOWNSTREAM, RECORD_JOB, minutes=2.5, memory_gib=0.75, gpus=1)
    code, words, jobs = project.snakemake(DOWNSTREAM)
    assert code == 0, words
    for number in (UPSTREAM, DOWNSTREAM):
        recorded = read_manifest(project.manifest(number)).metrics["toy.slurm_job"].value
        assert recorded == int(jobs[number].pop("JobID"))
    common = {"State": "COMPLETED", "cpus-per-task": "2"}
    assert jobs[UPSTREAM] == common | {"TimeLimit": "7:00", "MinMemory": "512M", "tres-per-job": "N/A"}
    assert jobs[DOWNSTREAM] == common | {"TimeLimit": "10:00", "MinMemory": "768M", "tres-per-job": "gres:gpu:1"}
    code, words, jobs = project.snakemake(DOWNSTREAM)
    assert (code, jobs) == (0, {})
    assert "Nothing to be done" in words


def test_a_failing_notebook_fails_every_call_and_leaves_the_previous_outputs(project):
    code, words, _ = project.snakemake(UPSTREAM)
    assert code == 0, words
    before = project.outputs(UPSTREAM)
    project.write(UPSTREAM, "1 / 0")
    code, words, jobs = project.snakemake(UPSTREAM)
    assert (code, jobs[UPSTREAM]["State"]) == (1, "FAILED"), words
    log = Path(re.search(r"\(log: (.+\.log)\)", words)[1])
    assert "failed in cell 4, In [3]: ZeroDivisionError" in log.read_text()
    assert project.outputs(UPSTREAM) == before
    code, words, jobs = project.snakemake(UPSTREAM)
    assert (code, jobs[UPSTREAM]["State"]) == (1, "FAILED"), words
