"""A download is put in place only when its content is the registered one; anything else leaves the root as it was."""

import hashlib
import http.server
import io
import stat
import threading
import zipfile

import pytest

from wbc_utils.data import fetch as fetch_module
from wbc_utils.data.fetch import fetch
from wbc_utils.data.registry import Entry, Release
from wbc_utils.data.tables import DataError

FILES = {"annotations.csv": b"image,label\n", "images/a.png": b"first", "images/<b>.png": b"second"}
TOP = "bcd-4635fd9/"


def digest(files):
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def archive(files, top=TOP, **more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        for name, body in {f"{top}{name}": body for name, body in files.items()}.items():
            content.writestr(name, body)
        for name, body in more.items():
            content.writestr(name, body)
    return buffer.getvalue()


@pytest.fixture
def server():
    """Return a function that serves bytes on this machine; the announced length may be longer than the body."""
    running = []

    def serve(body, length=None, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        listening = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(listening)
        return f"http://127.0.0.1:{listening.server_port}/bcd.zip"

    yield serve
    for listening in running:
        listening.shutdown()
        listening.server_close()


@pytest.fixture
def entry(monkeypatch):
    """Register ``FILES`` as the only release of a data set ``bcd``."""
    texts = dict.fromkeys(("title", "what", "homepage", "redistribution", "size", "citation", "groups"), "text")
    release = Release(name="4635fd9", files=3, digest=digest(FILES))
    entry = Entry(
        name="bcd", by_hand="steps for {folder}", licence="MIT", files=("images/*.png", "annotations.csv"),
        releases=(release,), **texts,
    )  # fmt: skip
    monkeypatch.setattr(fetch_module, "get_entry", lambda _: entry)
    return entry


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("top", ["", TOP, "one/two/"])
def test_the_registered_content_arrives_without_the_archives_top_folder(tmp_path, server, entry, top):
    folder = fetch("bcd", tmp_path / "new" / "root", server(archive(FILES, top)))
    assert folder == tmp_path / "new" / "root" / "bcd"
    assert content(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["bcd"]


def test_the_registered_archive_is_used_without_an_address(tmp_path, server, entry, monkeypatch):
    release = entry.releases[0].model_copy(update={"archive": server(archive(FILES))})
    monkeypatch.setattr(fetch_module, "get_entry", lambda _: entry.model_copy(update={"releases": (release,)}))
    assert content(fetch("bcd", tmp_path)) == FILES


def unsafe(name, mode=0):
    buffer = io.BytesIO(archive(FILES))
    with zipfile.ZipFile(buffer, "a") as added:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        added.writestr(member, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (archive({**FILES, "images/a.png": b"other"}), "registered: "),
        (archive({"images/a.png": b"first"}), "registered: "),
        (archive({"notes.txt": b"x"}), "no file that matches"),
        (unsafe("../escaped.txt"), "unsafe: its member '../escaped.txt'"),
        (unsafe(f"{TOP}images/../../../escaped.txt"), "unsafe"),
        (unsafe("/escaped.txt"), "unsafe"),
        (unsafe("C:\\escaped.txt"), "unsafe"),
        (unsafe("..\\escaped.txt"), "unsafe"),
        (unsafe(f"{TOP}link", stat.S_IFLNK | 0o777), "unsafe"),
        (archive({**FILES, "images/c.png": bytes(10**6)}), "unsafe: .* bytes would unpack to"),
        (archive(FILES)[:-40], "no complete ZIP archive"),
        (b"<html>not found</html>", "no complete ZIP archive"),
        (b"", "no complete ZIP archive"),
    ],
)
def test_wrong_unsafe_or_damaged_archives_change_nothing(tmp_path, server, entry, body, message):
    root = tmp_path / "root"
    (root / "cbc").mkdir(parents=True)
    with pytest.raises(DataError, match=message):
        fetch("bcd", root, server(body))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["root", "root/cbc"]


def test_flipped_bytes_inside_a_member_are_noticed(tmp_path, server, entry):
    body = bytearray(archive(FILES))
    position = body.index(b"images/<b>.png") + len(b"images/<b>.png")
    body[position : position + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(DataError, match="no complete ZIP archive"):
        fetch("bcd", tmp_path, server(bytes(body)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("length", "status"), [(10**6, 200), (None, 404)])
def test_an_interrupted_or_refused_download_changes_nothing(tmp_path, server, entry, length, status):
    address = server(archive(FILES), length, status)
    with pytest.raises(DataError, match=r"could not be downloaded.*Nothing was changed"):
        fetch("bcd", tmp_path, address)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_named(tmp_path, server, entry):
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/bcd\.zip could not be downloaded"):
        fetch("bcd", tmp_path, "http://127.0.0.1:9/bcd.zip")


@pytest.mark.parametrize("kept", [{}, {"mine.txt": b"precious"}])
def test_an_existing_folder_is_never_touched(tmp_path, server, entry, kept):
    (tmp_path / "bcd").mkdir()
    for name, body in kept.items():
        (tmp_path / "bcd" / name).write_bytes(body)
    with pytest.raises(DataError, match="exists and is never overwritten"):
        fetch("bcd", tmp_path, server(archive(FILES)))
    assert content(tmp_path / "bcd") == kept


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path, server, entry, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch_module.zipfile.ZipFile, "extractall", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch("bcd", tmp_path, server(archive(FILES)))
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path, server, entry, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_module, "_verified", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("bcd", tmp_path, server(archive(FILES)))
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_not_of_the_web_is_refused(tmp_path, entry):
    with pytest.raises(DataError, match="no web address"):
        fetch("bcd", tmp_path, "file:///etc/passwd")


def test_a_data_set_that_needs_a_person_is_answered_with_the_steps(tmp_path):
    with pytest.raises(DataError, match=r"pbc has no archive that can be fetched.*Download all"):
        fetch("pbc", tmp_path)
    with pytest.raises(
        DataError, match=r"lymph has no registered digest.*do not pass the images.*Join the competition"
    ):
        fetch("lymph", tmp_path, "http://127.0.0.1:9/lymph.zip")
    assert list(tmp_path.iterdir()) == []
