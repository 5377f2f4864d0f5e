"""Several ``make report`` at once: one makes it, the others say why they do not."""

from time import sleep


def test_of_reports_made_at_once_one_is_made_and_the_others_are_refused(finished, tmp_path):
    project = finished.project.copy(tmp_path / "project")
    for mark in project.runs.glob("*/done"):
        mark.unlink()
    makers = {name: project.start(name) for name in ("first", "second")}
    while not (project.runs / "01" / "done").exists() and any(maker.poll() is None for maker in makers.values()):
        sleep(0.05)
    makers["late"] = project.start("late")
    codes = {name: maker.wait(timeout=1200) for name, maker in makers.items()}
    refused = [name for name, code in codes.items() if code]
    assert len(refused) < len(codes), project.said("first")
    assert {"first", "second"} & set(refused)
    for name in refused:
        assert "the report of profile demo is already being made" in project.said(name)
        assert "Traceback" not in project.said(name)
    assert project.results() == finished.project.results()
    assert project.files() == finished.project.files()
    assert project.published().keys() == finished.project.published().keys()
