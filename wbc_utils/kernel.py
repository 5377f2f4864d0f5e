"""The kernel of a run: started over ipc, watched, named when it dies, and never left hanging."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import psutil
from jupyter_client import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

ENGINE = "wbc"
HEARTBEAT_SECONDS = 15.0
SAMPLE_SECONDS = 0.25
IOPUB_TIMEOUT_SECONDS = 120


class Watch:
    """What a run knows of its kernel while it works: the cell, the time, the memory, and why it ended.

    Parameters
    ----------
    number
        The notebook, for the heartbeat.
    progress_file
        Where the notebook may leave a line about its progress (`wbc_utils.repro.progress`).
    timeout
        Wall-clock limit in seconds, None for none.
    say
        Called with each heartbeat line.
    """

    def __init__(self, number: str, progress_file: Path, timeout: float | None, say: Callable[[str], None]):
        self.number, self.progress_file, self.timeout, self.say = number, progress_file, timeout, say
        self.peak_memory_mib = 0.0
        self.timed_out = False
        self.interrupted = False
        self.cell, self.cells = 0, 0
        self._process = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, process) -> None:
        """Begin to watch a started kernel (a ``subprocess.Popen``)."""
        self._process = process
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    @contextlib.contextmanager
    def interruptible(self):
        """Let Ctrl-C and SIGTERM end the kernel, so that the client unwinds in order; main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(signum, frame):
            self.interrupted = True
            if self._process is None or self._process.poll() is not None:
                raise KeyboardInterrupt
            _kill_tree(self._process.pid)

        previous = {signum: signal.signal(signum, interrupt) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)

    def cause_of_death(self) -> str:
        """Say why the kernel ended, by the name of the signal where there was one."""
        where = f"in cell {self.cell} of {self.cells}"
        if self.timed_out:
            return f"stopped {where} after the limit of {self.timeout:.0f} s (--timeout)"
        code = self._process.poll() if self._process else None
        memory = f"its memory was last {self.peak_memory_mib:.0f} MiB at most"
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", which is also how the system ends a process when memory runs out" if name == "SIGKILL" else ""
            return f"the kernel was killed {where} by {name}{hint}; {memory}"
        return f"the kernel ended by itself {where} with exit code {code}; {memory}"

    def _watch(self) -> None:
        began = monotonic()
        next_beat = began + HEARTBEAT_SECONDS
        while not self._stop.wait(SAMPLE_SECONDS):
            elapsed = monotonic() - began
            self._sample_memory()
            if self.timeout is not None and elapsed > self.timeout:
                self.timed_out = True
                _kill_tree(self._process.pid)
                return
            if monotonic() >= next_beat:
                next_beat += HEARTBEAT_SECONDS
                self.say(self._heartbeat(elapsed))

    def _heartbeat(self, elapsed: float) -> str:
        minutes, seconds = divmod(int(elapsed), 60)
        parts = [self.number, f"cell {self.cell}/{self.cells}", f"{minutes}:{seconds:02d}"]
        if self.progress_file.is_file():
            parts.append(self.progress_file.read_text(encoding="utf-8").strip())
        return " · ".join(parts)

    def _sample_memory(self) -> None:
        total = 0
        for process in _tree(self._process.pid):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        self.peak_memory_mib = max(self.peak_memory_mib, total / 2**20)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _kill_tree(pid: int) -> None:
    for process in _tree(pid):
        try:
            process.kill()
        except psutil.Error:
            continue


class _IpcKernelManager(AsyncKernelManager):
    """Sockets in a short-named folder of the run's own: no port races, no path too long for a socket."""

    def __init__(self, **options):
        self.sockets = tempfile.mkdtemp(prefix="wbc-")
        options |= {"transport": "ipc", "connection_file": os.path.join(self.sockets, "k.json")}
        super().__init__(**options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        shutil.rmtree(self.sockets, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


class _WatchedClient(PapermillNotebookClient):
    """The papermill client, with the watch begun as soon as there is a kernel process."""

    def __init__(self, *args, watch: Watch, **options):
        super().__init__(*args, **options)
        self.watch = watch
        watch.cells = len(self.nb.cells)

    def start_new_kernel(self, **options) -> None:
        super().start_new_kernel(**options)
        self.watch.start(self.km.provisioner.process)

    def papermill_execute_cells(self) -> None:
        start_cell = self.nb_man.cell_start

        def count(cell, index, **options):
            self.watch.cell = index + 1
            start_cell(cell, index, **options)

        self.nb_man.cell_start = count
        super().papermill_execute_cells()


class _Engine(NBClientEngine):
    """papermill's engine with our kernel manager, client, environment and watch."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, watch, env, start_timeout, **options):
        client = _WatchedClient(
            nb_man,
            watch=watch,
            kernel_name=kernel_name,
            kernel_manager_class=_IpcKernelManager,
            startup_timeout=start_timeout,
            iopub_timeout=IOPUB_TIMEOUT_SECONDS,
            timeout=None,
        )
        try:
            return client.execute(env=env)
        finally:
            watch.stop()


papermill_engines.register(ENGINE, _Engine)
