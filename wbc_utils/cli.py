"""The command ``wbc``: run notebooks, list parameters, fetch and check data, render pages, ask saved models."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wbc_utils import __version__, tasks

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A reproducible report on white blood cells. Start with: wbc run 01",
)
data_app = typer.Typer(no_args_is_help=True, help="List, fetch and check the data sets.")
app.add_typer(data_app, name="data")

Number = Annotated[str, typer.Argument(help="Two digits, as in 01.")]
Profile = Annotated[str, typer.Option(help="demo, cpu or gpu.")]
_of_classifier = partial(typer.Option, rich_help_panel="Only of a classifier")
_of_detector = partial(typer.Option, rich_help_panel="Only of a detector")
_of_fields = partial(typer.Option, rich_help_panel="Only of a detector or a two-stage pipeline")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"wbc-utils {__version__}")
        raise typer.Exit


@app.command()
def run(
    number: Number,
    profile: Profile = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Override one parameter; repeatable.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Wall-clock limit in seconds.", min=1)] = None,
) -> None:
    """Execute one notebook and write its page and manifest."""
    from wbc_utils import params, report
    from wbc_utils import run as runner

    overrides = params.parse_overrides(settings or [])
    code = 0
    try:
        runner.run_notebook(number, profile, overrides, timeout, say=typer.echo)
    except KeyboardInterrupt:
        code = 130
        typer.echo("stopped; the previous outputs are untouched", err=True)
    except runner.RunError as error:
        code = 1
        typer.echo(f"error: {error}", err=True)
    report.write_index(profile)
    raise typer.Exit(code)


@app.command()
def render(profile: Profile = "demo") -> None:
    """Render the pages of a profile anew from its last runs, and its index."""
    from wbc_utils import params, paths, report

    for number in params.NOTEBOOKS:
        if (paths.run_dir(profile, number) / "notebook.ipynb").is_file():
            typer.echo(report.write_page(number, profile))
    typer.echo(report.write_index(profile))


@app.command(name="params")
def list_parameters(number: Annotated[str | None, typer.Argument(help="Two digits; all if left out.")] = None) -> None:
    """Print every parameter of the notebooks as a table: name, type, default, meaning."""
    from wbc_utils import params

    for one in [number] if number else params.NOTEBOOKS:
        rows = [("name", "type", "default", "meaning"), *params.describe(one)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        typer.echo(f"{one} {params.notebook_path(one).name}")
        for row in rows:
            columns = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
            typer.echo("  " + "  ".join([*columns, row[3]]))


@app.command()
def predict(
    model: Annotated[
        Path, typer.Option(help="What a notebook saved: a .safetensors file, or the folder of a two-stage pipeline.")
    ],
    images: Annotated[
        Path,
        typer.Option(
            help="Folder, or CSV file with a column image, path or ID, which names files beside it or anywhere below; "
            "of patients, the data set's folder."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="What to write: a CSV file, or a folder of a detector's or a pipeline's results.")
    ],
    task: Annotated[
        tasks.Task | None, typer.Option(help="What the model is taken for; an error if it is for another task.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU where there is one.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a batch; by default 64 of a classifier, 4 of a detector, 8 of a pipeline."),
    ] = None,
    views: Annotated[
        int | None, _of_classifier(help="1, or 8 for the mean over orientations; by default the card's.")
    ] = None,
    temperature: Annotated[
        float | None, _of_classifier(help="Above 1 less confident, below 1 more; by default the card's.")
    ] = None,
    cell_px: Annotated[
        float | None, _of_classifier(help="Diameter of a typical cell in pixels; measured if left out.")
    ] = None,
    min_confidence: Annotated[
        float | None, _of_classifier(help="The model abstains below it, said in a column; never if left out.")
    ] = None,
    submission: Annotated[
        str | None, _of_classifier(help="wbcbench: write ID,labels instead of probabilities.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        _of_detector(
            metavar="[CLASS=]SCORE",
            help="Least score of a box, 0 to 1: of one class, as WBC=0.7, or of all others; repeatable. By default the "
            "card's, or 0.5 if it has none.",
        ),
    ] = None,
    nms_iou: Annotated[
        float | None,
        _of_detector(
            help="Of two boxes that overlap by more than this (intersection over union, 0 to 1), the worse goes; by "
            "default the card's."
        ),
    ] = None,
    no_pictures: Annotated[bool, _of_fields("--no-pictures", help="Write no annotated images.")] = False,
) -> None:
    """Ask a saved model about the images of a folder or a list; its file says what it is for.

    A classifier (--task classification) labels images of one cell each. It writes a CSV file:
    one row an image, a probability each class.

    A detector (--task detection) finds and counts the cells of whole fields. It writes a folder with four things:
    boxes.csv, one row a box in pixels; boxes.json, the same in COCO's format;
    counts.csv, one row an image; and pictures/, each image with its boxes.

    A two-stage pipeline (--task two-stage) finds white cells and names their types. It writes such a folder,
    with submission.csv in the format of the CytologIA challenge in place of boxes.csv.

    A panel (--task lymphocytosis) judges the patients without a label in a folder like that of the challenge:
    clinical_annotation.csv, testset/P1/, testset/P2/ and so on. It writes a CSV file, ID and LABEL, 1 malignant.

    Images that cannot be read are named with the reason and passed over.
    """
    options = {
        "batch_size": batch_size, "views": views, "temperature": temperature, "cell_px": cell_px,
        "min_confidence": min_confidence, "submission": submission, "threshold": threshold or None,
        "nms_iou": nms_iou, "no_pictures": no_pictures or None,
    }  # fmt: skip
    tasks.ask(model, images, out, device, options, typer.echo, task)


@app.command()
def diff(
    run_a: Annotated[str, typer.Argument(help="A manifest, its folder (reports/cpu), or profile/notebook (cpu/03).")],
    run_b: Annotated[str, typer.Argument(help="What to compare it with.")],
) -> None:
    """Compare two runs: parameters, metrics with intervals, seconds, memory, versions, data."""
    from wbc_utils import comparison

    typer.echo(comparison.compare(run_a, run_b))


@app.command()
def licences() -> None:
    """Print the licence of every package that is pinned and of every data set."""
    from wbc_utils import licences as found

    for name, version, licence in found.of_packages():
        typer.echo(f"{name:40s} {version:14s} {licence}")
    typer.echo("")
    for name, title, licence, conditions in found.of_data():
        typer.echo(f"{name:10s} {licence:24s} {title}: {conditions}")


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Made if missing; by default this folder.")] = Path()) -> None:
    """Begin a project in a folder: notebooks, parameters and workflow, to run and to change."""
    from wbc_utils import workspace

    for path in workspace.create(folder):
        typer.echo(path)
    typer.echo(f"Next, in {folder.resolve()}: wbc run 01, or all notebooks: snakemake --cores 2")


@data_app.command(name="list")
def list_data() -> None:
    """Print every known data set, its licence, and whether it is there."""
    from wbc_utils import paths
    from wbc_utils.data import registry

    root, known = paths.data_root(), registry.load_registry()
    present = registry.available(root)
    typer.echo(f"data root: {root} (set WBC_DATA to change it)")
    width = max(map(len, known))
    for name, entry in known.items():
        typer.echo(f"  {name:{width}s} {'here' if name in present else '–   '}  {entry.licence:24s} {entry.title}")
        for line in entry.missing_extras(root / name) if name in present else ():
            typer.echo(f"  {'':{width}s} {line}")
    if unknown := sorted(path.name for path in root.glob("[!.]*") if path.is_dir() and path.name not in known):
        typer.echo(f"not known: {', '.join(unknown)} (to add one: CONTRIBUTING.md)")
    if not present and (hint := next(filter(None, (registry.hint(name, root) for name in known)), "")):
        typer.echo(hint.strip())


@data_app.command()
def fetch(name: str) -> None:
    """Download a data set, verify its content and put it under the data root."""
    from wbc_utils import paths
    from wbc_utils.data import fetch as fetcher

    typer.echo(fetcher.fetch(name, paths.data_root()))


@data_app.command()
def check(name: str) -> None:
    """Compare a data set on disk with its registered releases, read, decode and clean it, and list every finding."""
    import pandas as pd

    from wbc_utils import paths
    from wbc_utils.data import fingerprints, overview, registry

    root = paths.data_root()
    use = registry.inspect(name, root)
    typer.echo(f"{use.title}: {use.release} – {use.note}; {use.files} files, digest {use.digest}")
    for line in registry.get_entry(name).missing_extras(root / name):
        typer.echo(line)
    dataset = overview.clean_all({name: registry.read(name, root)})[name]
    errors = fingerprints.fingerprint(dataset.images["path"]).errors
    broken = dataset.images.iloc[list(errors)][["image"]].assign(dataset=name, error=list(errors.values()))
    audit = pd.concat([dataset.audit, overview.unreadable_rows(broken)], ignore_index=True)
    typer.echo(f"{len(audit)} findings")
    for (reason, decision), rows in audit.groupby(["reason", "decision"]):
        typer.echo(f"  {len(rows)} × {reason}: {decision} (e.g. {rows.iloc[0]['image']})")


def main() -> None:
    """Run the command; our own errors are one message and exit code 1."""
    try:
        app()
    except Exception as error:
        if not type(error).__module__.startswith("wbc_utils"):
            raise
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
