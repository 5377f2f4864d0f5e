# Which notebook needs which. One rule shape for all; `wbc run` does the work, Snakemake orders, skips and parallelises.
#
#   snakemake --cores 2                                     the demo
#   snakemake --cores 2 --config profile=cpu                the real data
#   snakemake --profile profiles/slurm --config profile=gpu each notebook a SLURM job

from wbc_utils import claims, params, paths, repro

PROFILE = config.get("profile", "demo")
REPORTS = f"reports/{PROFILE}"
DONE = f"runs/{PROFILE}/{{}}/done"  # written by `wbc run`, removed by Snakemake before a run: a failure is tried again


rule all:
    default_target: True
    localrule: True
    input:
        f"{REPORTS}/index.html",
        [
            pattern.format(number)
            for number in params.NOTEBOOKS
            for pattern in (REPORTS + "/manifests/{}.json", REPORTS + "/{}.html", DONE)
        ],


rule index:
    localrule: True
    input:
        [f"{REPORTS}/manifests/{number}.json" for number in params.NOTEBOOKS],
    output:
        update(f"{REPORTS}/index.html"),
    params:
        look=repro.package_digest("templates", "render", "report.py"),
    shell:
        "wbc render --profile {PROFILE}"


for number, model in params.NOTEBOOKS.items():
    cost = params.read_parameter_file(number, PROFILE).cost

    rule:
        name:
            f"notebook_{number}"
        input:
            notebook=str(params.notebook_path(number).relative_to(paths.project_root())),
            parameters=f"params/{PROFILE}/{number}.yaml",
            upstream=[DONE.format(other) for other in model.needs],
        output:
            # update(): a failing run keeps the previous good files
            manifest=update(f"{REPORTS}/manifests/{number}.json"),
            page=update(f"{REPORTS}/{number}.html"),
            done=DONE.format(number),
        params:
            code=repro.source_digest(params.notebook_path(number)),
            claims=claims.digest(number),
            number=number,
        resources:
            runtime=int(2 * cost.minutes) + 5,
            mem_mb=int(1024 * cost.memory_gib),
            gpu=cost.gpus,
        shell:
            "wbc run {params.number} --profile {PROFILE}"
