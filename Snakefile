# Which notebook needs which. One rule shape for all; `wbc run` does the work, Snakemake orders, skips and parallelises.
#
#   snakemake --cores 2                                     the demo
#   snakemake --cores 2 --config profile=cpu                the real data
#   snakemake --profile profiles/slurm --config profile=gpu each notebook a SLURM job
#
# Snakemake knows nothing but marks, empty files under runs/: it removes one before a run, so that a failure is tried
# again. Pages and manifests are no outputs in its sense, which it would delete, or copy back, when a run fails.

from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

from wbc_utils import claims, params, paths, repro

PROFILE = config.get("profile", "demo")
REPORTS = f"reports/{PROFILE}"
RUNS = f"runs/{PROFILE}"
LOCK = FileLock(f"{RUNS}/.report.lock")


def mark(name, *made):
    """Return the mark of finished work; it is removed here if any of what was made is gone."""
    path = Path(RUNS, name)
    if path.is_file() and not all(Path(REPORTS, one).is_file() for one in made):
        path.unlink()
    return str(path)


INDEX = mark("index", "index.html")
DONE = {number: mark(f"{number}/done", f"manifests/{number}.json", f"{number}.html") for number in params.NOTEBOOKS}


onstart:
    Path(RUNS).mkdir(parents=True, exist_ok=True)
    try:
        LOCK.acquire(timeout=0)
    except Timeout:
        raise WorkflowError(
            f"the report of profile {PROFILE} is already being made: {LOCK.lock_file} is held by another process. "
            "Wait for it to end."
        ) from None


rule all:
    default_target: True
    localrule: True
    input:
        INDEX,
        list(DONE.values()),


rule index:
    localrule: True
    input:
        list(DONE.values()),
    output:
        touch(INDEX),
    params:
        look=repro.package_digest("templates", "render", "report.py"),
    shell:
        "wbc render --profile {PROFILE}"


COST = {number: params.read_parameter_file(number, PROFILE).cost for number in params.NOTEBOOKS}


def minutes_to_go(number):
    """Return the minutes from the start of a notebook to the end of the last one that waits for it."""
    waiting = [minutes_to_go(other) for other, model in params.NOTEBOOKS.items() if number in model.needs]
    return COST[number].minutes + max(waiting, default=0)


for number, model in params.NOTEBOOKS.items():
    cost = COST[number]

    rule:
        name:
            f"notebook_{number}"
        input:
            notebook=str(params.notebook_path(number).relative_to(paths.project_root())),
            parameters=f"params/{PROFILE}/{number}.yaml",
            upstream=[DONE[other] for other in model.needs],
        output:
            DONE[number],
        params:
            code=repro.source_digest(params.notebook_path(number)),
            claims=claims.digest(number),
            number=number,
        priority: round(minutes_to_go(number))  # what most waits for begins first
        threads: cost.cores
        resources:
            runtime=int(2 * cost.minutes) + 5,
            mem_mb=int(1024 * cost.memory_gib),
            gpu=cost.gpus,
        shell:
            "wbc run {params.number} --profile {PROFILE}"
