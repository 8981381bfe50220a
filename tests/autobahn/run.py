#!/usr/bin/env python3
"""Run the Autobahn WebSocket cases against this crate's programs, in both roles.

The cases come from the PyPI package `kosoku` (0.1.0), which carries the Autobahn
TestSuite's own case files and runs them under Python 3; HTTP/2 comes from the PyPI
package `h2`, and everything else is the standard library. See README.md beside this file.

    role server   the fuzzing client drives our server (examples/testbed)
    role client   the fuzzing server drives our client (examples/client), which runs
                  the usual loop: /getCaseCount, /runCase?case=N&agent=A for each N,
                  /updateReports?agent=A

With --http 2, the same cases go through a bridge (bridge.py) which speaks HTTP/2 to our program.

A case passes only if `behavior` and `behaviorClose` are both OK; the three cases that
the suite itself reports as INFORMATIONAL whatever the peer does pass with that. In
sections 12 and 13, what came must have been compressed, too. A case without a result
is MISSING and fails. The exit status is 0 only if at least one case was selected,
every selected case ran and passed, and no program misbehaved. The last line of the
output is always `N passed, N failed`, followed by `, over HTTP/2` if that is so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import importlib.metadata
import json
import os
import shlex
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

sys.dont_write_bytecode = True  # the import of bridge.py leaves nothing beside it

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
EXAMPLES = TARGET / "release" / "examples"

HOST = "127.0.0.1"
KOSOKU = "0.1.0"
H2 = "4.4.1"
SUITE_SIZE = 517
# Numbers that the suite never gave a case; a pattern for one of them is no mistake.
EMPTY_SECTIONS = {"8.*", "11.*"}
COMPRESSED_SECTIONS = {"12", "13"}
# The suite sets both verdicts of these to INFORMATIONAL, whatever happened.
INFORMATIONAL_BY_DESIGN = {"7.1.6", "7.13.1", "7.13.2"}

BEHAVIORS = ["OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "UNIMPLEMENTED", "ERROR", "MISSING"]
START_LIMIT = 30.0  # seconds until a server must accept connections
GIVE_UP_AFTER = 5  # stalled cases (or dead clients) in one shard


# --- the worker: one process for each shard ---------------------------------------------
#
# The parent writes one line of JSON (what to do) to the worker's stdin and then holds it
# open; the end of stdin tells the worker to stop its own child and to go. The worker
# writes one line of JSON for each thing it has to say.


class Worker:
    def __init__(self, config: dict) -> None:
        self.config = config
        self.child: asyncio.subprocess.Process | None = None
        self.lock = threading.Lock()
        self.started: list[str] = []
        self.last_start = time.monotonic()

    def say(self, **what: object) -> None:
        with self.lock:
            sys.stdout.write(json.dumps(what, default=str) + "\n")
            sys.stdout.flush()

    def watch_stdin(self) -> None:
        sys.stdin.read()
        if self.child is not None and self.child.returncode is None:
            kill_group(self.child.pid, signal.SIGKILL)
        os._exit(1)

    async def run(self) -> None:
        if self.config["role"] == "server":
            await self.drive_server()
        else:
            await self.drive_client()
        self.say(done=True)

    async def drive_server(self) -> None:
        import kosoku

        async def run_case(case_id: str) -> list:
            try:
                return await kosoku.run_fuzzingclient(self.config["url"], [case_id])
            except kosoku.FailureError as failure:
                return failure.results

        gate = asyncio.Semaphore(self.config["jobs"])
        stalls = 0

        async def guarded(case_id: str) -> None:
            nonlocal stalls
            async with gate:
                if stalls >= GIVE_UP_AFTER:
                    self.say(missing=case_id, why="not run: too many stalled cases before it")
                    return
                task = asyncio.create_task(run_case(case_id))
                # Not `wait_for`: a case that is stuck in a write cannot be cancelled.
                await asyncio.wait({task}, timeout=self.config["case_timeout"])
                if not task.done():
                    stalls += 1
                    self.say(missing=case_id, why=f"no verdict within {self.config['case_timeout']:g} s")
                elif task.exception() is not None:
                    self.say(missing=case_id, why=f"the suite raised {task.exception()!r}")
                else:
                    for result in task.result():
                        self.say(result=as_dict(result, "server"))

        await asyncio.gather(*(guarded(case_id) for case_id in self.config["cases"]))

    async def drive_client(self) -> None:
        self.note_starts()
        pending = self.config["cases"]
        rounds = 0
        while pending:
            self.started = []
            if await self.one_client(pending):
                return  # the client said that it is done; what it left out is missing
            rounds += 1
            if not self.started:
                self.say(problem="the client started no case; the rest of its shard did not run")
                return
            ran = set(self.started)
            pending = [case_id for case_id in pending if case_id not in ran]
            if pending and rounds >= GIVE_UP_AFTER:
                self.say(problem=f"gave up on the rest of a shard after {rounds} clients")
                return

    def note_starts(self) -> None:
        """The server calls what it finds in CASES to start a case: put a note before it."""
        from kosoku.cases import CASES

        def noting(case_id: str, case: type):
            def start(protocol: object) -> object:
                self.started.append(case_id)
                self.last_start = time.monotonic()
                return case(protocol)

            return start

        for case_id in self.config["cases"]:
            CASES[case_id] = noting(case_id, CASES[case_id])

    async def one_client(self, pending: list[str]) -> bool:
        """One fuzzing server and one client over `pending`; whether the client ended well."""
        import kosoku

        async def results(server: kosoku.FuzzingServer) -> list:
            try:
                return await server.get_result()
            except kosoku.FailureError as failure:
                return failure.results

        limit = self.config["case_timeout"]
        well = True
        async with kosoku.run_fuzzingserver(pending, None, host=HOST, port=0) as server:
            port, down = server.port, None
            if self.config["http"] == "2":
                import bridge

                down = await bridge.Down(port).start()
                port = down.port
            url = f"ws://{HOST}:{port}"
            finish = asyncio.create_task(results(server))
            argv = fill(self.config["command"], url=url, port=port, agent=self.config["agent"])
            with open(self.config["log"], "ab") as log:
                try:
                    self.child = await asyncio.create_subprocess_exec(
                        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
                except OSError as error:
                    self.say(problem=f"cannot start the client: {error}")
                    return False
            exited = asyncio.create_task(self.child.wait())
            self.last_start = time.monotonic()
            try:
                while not finish.done() and not exited.done() and time.monotonic() < self.last_start + limit:
                    await asyncio.wait({finish, exited}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
                if not finish.done() and exited.done():
                    await asyncio.wait({finish}, timeout=1)
                if not finish.done():
                    well = False
                    at = f"at case {self.started[-1]}" if self.started else "before any case"
                    if exited.done():
                        self.say(problem=f"the client ended {at} ({status(exited.result())}) without /updateReports")
                    else:
                        self.say(problem=f"the client was stopped {at}: nothing new for {limit:g} s")
                        kill_group(self.child.pid, signal.SIGKILL)
                    # End the run in the client's place, to get the results that there are.
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(update_reports, server.port)
                    await asyncio.wait({finish}, timeout=10)
                if finish.done():
                    for result in finish.result():
                        self.say(result=as_dict(result, "client"))
                else:
                    self.say(problem="the fuzzing server gave no results")
                await asyncio.wait({exited}, timeout=10)
                if not exited.done():
                    well = False
                    self.say(problem="the client did not exit after /updateReports")
                elif well and exited.result() != 0:
                    self.say(problem=f"the client failed after its run ({status(exited.result())})")
            finally:
                kill_group(self.child.pid, signal.SIGKILL)
                if down is not None:
                    self.say(carried=down.stop(), faults=down.faults)
        return well


def as_dict(result, role: str) -> dict:
    """The public attributes of a result, with the names that Autobahn's reports use."""
    return {
        "role": role,
        "id": result.case_id,
        "agent": result.agent,
        "description": result.description,
        "expectation": result.expectation,
        "behavior": result.behavior.value,
        "behaviorClose": result.behavior_close.value,
        "result": result.result,
        "resultClose": result.result_close,
        "started": result.started,
        "duration": result.duration,
        "expected": shorten(result.expected),
        "expectedClose": shorten(result.expected_close),
        "received": shorten(result.received),
        "remoteCloseCode": result.remote_close_code,
        "remoteCloseReason": result.remote_close_reason,
        "localCloseCode": result.local_close_code,
        "wasClean": result.was_clean,
        "wasNotCleanReason": result.was_not_clean_reason,
        "closedByMe": result.closed_by_me,
        "failedByMe": result.failed_by_me,
        "droppedByMe": result.dropped_by_me,
        "rxFrameStats": result.rx_frame_stats,
        "txFrameStats": result.tx_frame_stats,
        "trafficStats": result.traffic_stats and result.traffic_stats.__json__(),
        "httpRequest": result.http_request,
        "httpResponse": result.http_response,
        "wirelog": shorten(result.wirelog),
    }


def shorten(value: object) -> object:
    """`value` for JSON, with long payloads cut."""
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode("latin-1")
        return text if len(text) <= 200 else f"{text[:100]}… ({len(value)} in all)"
    if isinstance(value, dict):
        return {str(key): shorten(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shorten(item) for item in value]
    return value


def update_reports(port: int) -> None:
    with socket.create_connection((HOST, port), timeout=5) as stream:
        stream.sendall(
            b"GET /updateReports HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        stream.recv(4096)


def worker_main() -> None:
    worker = Worker(json.loads(sys.stdin.readline()))
    threading.Thread(target=worker.watch_stdin, daemon=True).start()
    code = 0
    try:
        asyncio.run(worker.run())
    except BaseException as error:
        worker.say(problem=f"a worker failed: {error!r}")
        code = 1
    os._exit(code)  # a stuck case would keep the interpreter from ending


# --- processes --------------------------------------------------------------------------


def kill_group(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


def status(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"status {code}"


def fill(command: list[str], **values: object) -> list[str]:
    """Replace {port}, {url} and {agent} in the words of a command."""
    words = []
    for word in command:
        for name, value in values.items():
            word = word.replace("{" + name + "}", str(value))
        words.append(word)
    return words


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def tail(path: Path, lines: int = 20) -> str:
    try:
        text = path.read_bytes()[-20_000:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join("    | " + line for line in text.splitlines()[-lines:])


class ServerUnderTest:
    """The server program on a free loopback port, started and stopped."""

    def __init__(self, command: list[str], log: Path, deadline: float) -> None:
        self.command, self.log, self.deadline = command, log, deadline
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def start(self) -> str | None:
        """Start it; what went wrong, if anything."""
        for attempt in range(3):  # someone may take the port before the server does
            self.port = free_port()
            argv = fill(self.command, port=self.port)
            try:
                with open(self.log, "ab") as log:
                    self.process = await asyncio.create_subprocess_exec(
                        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
            except OSError as error:
                return f"cannot start the server: {error}"
            limit = min(time.monotonic() + START_LIMIT, self.deadline)
            while self.process.returncode is None and time.monotonic() < limit:
                try:
                    _, writer = await asyncio.open_connection(HOST, self.port)
                    writer.close()
                    await asyncio.sleep(0.1)
                    if self.process.returncode is None:
                        return None
                except OSError:
                    await asyncio.sleep(0.05)
            if self.process.returncode is None:
                return f"the server does not accept connections on port {self.port}"
        return f"the server ended at its start ({status(self.process.returncode)})"

    async def stop(self) -> None:
        if self.process is None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            kill_group(self.process.pid, how)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), 5)
                break
        kill_group(self.process.pid, signal.SIGKILL)


# --- the run ----------------------------------------------------------------------------


class Role:
    """What came out of one role."""

    def __init__(self, name: str, selected: list[str]) -> None:
        self.name = name
        self.selected = selected
        self.results: dict[str, dict] = {}
        self.missing: dict[str, str] = {}
        self.problems: list[str] = []
        self.carried: Counter[str] = Counter()
        self.seconds = 0.0
        self.log = ""

    def take(self, said: dict) -> None:
        if "problem" in said:
            self.problems.append(said["problem"])
        elif "carried" in said:
            self.carried.update(said["carried"])
            self.problems += said["faults"]
        elif "missing" in said:
            self.missing[said["missing"]] = said["why"]
        elif "result" in said:
            result = said["result"]
            if result["id"] in self.results:
                self.problems.append(f"case {result['id']} ran twice")
            else:
                self.results[result["id"]] = result

    def behavior(self, case_id: str) -> tuple[str, str]:
        result = self.results.get(case_id)
        if result is None:
            return "MISSING", "MISSING"
        return result["behavior"], result["behaviorClose"]

    def compressed(self, case_id: str) -> bool:
        """Whether what the peer sent was compressed, by an extension that its handshake agreed on."""
        result = self.results.get(case_id) or {}
        stats = result.get("trafficStats") or {}
        wire, plain = (stats.get(f"incomingOctets{level}Level") for level in ("WebSocket", "App"))
        return wire != plain and "permessage-deflate" in result.get("httpResponse", "")

    def passed(self, case_id: str) -> bool:
        if case_id.split(".")[0] in COMPRESSED_SECTIONS and not self.compressed(case_id):
            return False
        fine = {"OK", "INFORMATIONAL"} if case_id in INFORMATIONAL_BY_DESIGN else {"OK"}
        return set(self.behavior(case_id)) <= fine

    @property
    def failures(self) -> list[str]:
        return [case_id for case_id in self.selected if not self.passed(case_id)]

    @property
    def good(self) -> bool:
        return bool(self.selected) and not self.failures and not self.problems


def deal(cases: list[str], shards: int) -> list[list[str]]:
    """The cases in as many parts that take about as long, the longest first: beside them, the short ones of sections
    12 and 13 would not keep the suite's limit of a minute."""
    from kosoku.cases import CASES

    def cost(case_id: str) -> int:  # in bytes; all but the cases of sections 12 and 13 are quick
        case = CASES[case_id]
        return 1_000_000 + getattr(case, "LEN", 0) * getattr(case, "COUNT", 0)

    parts: list[list[str]] = [[] for _ in range(shards)]
    for case_id in sorted(cases, key=cost, reverse=True):
        min(parts, key=lambda part: sum(map(cost, part))).append(case_id)
    return parts


async def shard(role: Role, config: dict, deadline: float) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).resolve()), "--worker",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True, limit=1 << 28,
    )
    done = False
    try:
        worker.stdin.write(json.dumps(config).encode() + b"\n")
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
            await worker.stdin.drain()
            while line := await worker.stdout.readline():
                said = json.loads(line)
                done = done or "done" in said
                role.take(said)
            await worker.wait()
        if not done:
            role.problems.append(f"a worker ended early ({status(worker.returncode)})")
    except TimeoutError:
        role.problems.append("the total time ran out")
    except (OSError, ValueError) as error:
        role.problems.append(f"a worker could not be read: {error}")
    finally:
        worker.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.wait(), 3)
        kill_group(worker.pid, signal.SIGKILL)


async def run_role(role: Role, args: argparse.Namespace, deadline: float, scratch: Path) -> None:
    began = time.monotonic()
    log = scratch / f"{role.name}.log"
    server = up = None
    config = {"role": role.name, "case_timeout": args.case_timeout, "jobs": args.jobs, "http": args.http}
    try:
        if role.name == "client":
            config |= {"command": args.client_command, "agent": args.agent}
            print(f"client: {shlex.join(args.client_command)}", flush=True)
        elif args.url:
            config["url"] = args.url
            print(f"server: {args.url}", flush=True)
        else:
            server = ServerUnderTest(args.server_command, log, deadline)
            if wrong := await server.start():
                role.problems.append(wrong)
                return
            config["url"] = f"ws://{HOST}:{server.port}/"
            print(f"server: {shlex.join(fill(args.server_command, port=server.port))}", flush=True)
        if role.name == "server" and args.http == "2":
            import bridge

            url = urlsplit(config["url"])
            up = await bridge.Up(url.port, url.hostname).start()
            config["url"] = url._replace(netloc=f"{HOST}:{up.port}").geturl()
        shards = max(1, min(args.shards, len(role.selected)))
        logs = [scratch / f"{role.name}-{number}.log" for number in range(shards)]
        await asyncio.gather(*(
            shard(role, config | {"cases": cases, "log": str(logs[number])}, deadline)
            for number, cases in enumerate(deal(role.selected, shards))
        ))
        if server is not None and server.process.returncode is not None:
            role.problems.append(f"the server ended during the run ({status(server.process.returncode)})")
        if role.name == "client":
            agents = {result["agent"] for result in role.results.values()}
            if agents - {args.agent}:
                role.problems.append(f"the client named itself {sorted(agents)}, not {args.agent!r}")
    finally:
        if up is not None:
            role.take({"carried": up.stop(), "faults": up.faults})
        if server is not None:
            await server.stop()
        role.seconds = time.monotonic() - began
        role.log = "\n".join(filter(None, (tail(path) for path in sorted(scratch.glob(f"{role.name}*.log")))))


async def run_all(roles: list[Role], args: argparse.Namespace) -> None:
    deadline = time.monotonic() + args.timeout
    task = asyncio.current_task()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    with tempfile.TemporaryDirectory(prefix="autobahn-") as scratch:
        for role in roles:
            try:
                await run_role(role, args, deadline, Path(scratch))
            except asyncio.CancelledError:
                role.problems.append("interrupted")
                return
            except Exception as error:
                role.problems.append(f"this script failed: {error!r}")


# --- what is printed --------------------------------------------------------------------


def print_role(role: Role) -> None:
    sections: dict[str, list[str]] = {}
    for case_id in role.selected:
        sections.setdefault(case_id.split(".")[0], []).append(case_id)
    heads = [
        f"{role.name} section", "selected", "ran", *BEHAVIORS, "close OK", "close INFO", "close other", "compressed",
        "case seconds",
    ]
    heads = [head.rjust(5) for head in heads]
    print("  ".join(heads))
    for name, cases in [*sections.items(), ("all", role.selected)]:
        behaviors = Counter(role.behavior(case_id)[0] for case_id in cases)
        results = [role.results[case_id] for case_id in cases if case_id in role.results]
        closes = Counter(result["behaviorClose"] for result in results)
        row = [f"{role.name} {name}", len(cases), len(results), *(behaviors[label] for label in BEHAVIORS)]
        row += [closes["OK"], closes["INFORMATIONAL"], len(results) - closes["OK"] - closes["INFORMATIONAL"]]
        row += [sum(map(role.compressed, cases))]
        row += [f"{sum(result['duration'] for result in results) / 1000:.1f}"]
        cells = [str(cell).rjust(len(head)) for cell, head in zip(row, heads, strict=True)]
        print("  ".join([f"{row[0]:<{len(heads[0])}}", *cells[1:]]))
    if role.carried:
        print(f"{role.name}: {', '.join(f'{count} {what}' for what, count in role.carried.items())}")
    print(f"{role.name}: {role.seconds:.1f} s")


def print_details(role: Role) -> None:
    from kosoku.cases import CASES

    for case_id in role.selected:
        behavior, close = role.behavior(case_id)
        is_ok = behavior == close == "OK"
        if is_ok and role.passed(case_id):
            continue
        result = role.results.get(case_id)
        verdict = "passed, informational by design" if role.passed(case_id) else "NOT PASSED"
        if is_ok:
            verdict += ": nothing was compressed"
        print(f"{role.name} {case_id}: behavior {behavior}, behaviorClose {close} ({verdict})")
        print(f"    expectation: {' '.join(CASES[case_id].EXPECTATION.split())}")
        if result is None:
            print(f"    result: {role.missing.get(case_id, 'the case did not run to a verdict')}")
            continue
        print(f"    result: {result['result']}")
        print(f"    close: {result['resultClose']} (the peer's code: {result['remoteCloseCode']})")
        if not role.passed(case_id):
            print(f"    received: {json.dumps(result['received'])[:400]}")
    for problem in role.problems:
        print(f"{role.name}: PROBLEM: {problem}")
    if not role.good and role.log:
        print(f"{role.name}: the end of what the program wrote:")
        print(role.log)


# --- the command line -------------------------------------------------------------------


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def select(every: list[str], cases: list[str], exclude: list[str]) -> list[str]:
    """The cases that match; a pattern that matches none is an error."""
    chosen = []
    for patterns, into in ((cases, chosen), (exclude, dropped := [])):
        for pattern in patterns:
            hits = fnmatch.filter(every, pattern)
            if not hits and pattern not in EMPTY_SECTIONS:
                raise ValueError(f"no case matches {pattern!r}")
            into.extend(hits)
    kept = set(chosen) - set(dropped)
    return [case_id for case_id in every if case_id in kept]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the Autobahn cases against this crate's programs, in both roles.",
        epilog="In the commands, {port}, {url} and {agent} are replaced. Patterns are shell patterns over whole "
        "case numbers: 1.*, 6.4.?, 9.3.1.",
    )
    parser.add_argument("--role", choices=["server", "client", "both"], default="both", help="what is under test")
    parser.add_argument("--http", choices=["1.1", "2"], default="1.1",
                        help="what carries the WebSockets to our programs (default: %(default)s)")
    parser.add_argument("--cases", type=split, default=["*"], metavar="PATTERN,…", help="default: all")
    parser.add_argument("--exclude", type=split, default=[], metavar="PATTERN,…")
    parser.add_argument("--shards", type=int, default=3, help="processes that share the cases (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1,
                        help="cases at a time in one shard, role server only (default: %(default)s)")
    parser.add_argument("--server-command", type=shlex.split, metavar="COMMAND",
                        help="default: target/release/examples/testbed --h1 {port}, or --h2c {port}")
    parser.add_argument("--client-command", type=shlex.split, metavar="COMMAND",
                        help="default: target/release/examples/client --http 1.1 --autobahn {url} --agent {agent}, "
                        "or --http 2")
    parser.add_argument("--url", help="a server that is running already (role server)")
    parser.add_argument("--agent", default="sockless", help="default: %(default)s")
    parser.add_argument("--timeout", type=float, default=1500, metavar="SECONDS",
                        help="for everything together (default: %(default)s)")
    parser.add_argument("--case-timeout", type=float, default=300, metavar="SECONDS",
                        help="for one case (default: %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write the raw results")
    parser.add_argument("--list", action="store_true", help="print the selected cases and exit")
    args = parser.parse_args()
    args.server_command = args.server_command or [
        str(EXAMPLES / "testbed"), "--h1" if args.http == "1.1" else "--h2c", "{port}"]
    args.client_command = args.client_command or [
        str(EXAMPLES / "client"), "--http", args.http, "--autobahn", "{url}", "--agent", "{agent}"]
    if args.shards < 1 or args.jobs < 1 or args.timeout <= 0 or args.case_timeout <= 0:
        parser.error("--shards, --jobs and the timeouts must be positive")
    if args.url and args.role == "client":
        parser.error("--url is for the role server")
    return args


def finish(args: argparse.Namespace, passed: int, failed: int) -> int:
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed{', over HTTP/2' if args.http == '2' else ''}", flush=True)
    return 0 if passed and not failed else 1


def main() -> int:
    args = parse()
    try:
        version = importlib.metadata.version("kosoku")
        from kosoku.cases import CASES

        if args.http == "2":
            import bridge  # noqa: F401
    except ImportError as error:
        print(f"needs the packages kosoku and, for HTTP/2, h2 ({error}): pip install kosoku=={KOSOKU} h2=={H2}")
        return finish(args, 0, 1)
    problems = []
    if version != KOSOKU or len(CASES) != SUITE_SIZE:
        problems.append(f"this script is for kosoku {KOSOKU} with its {SUITE_SIZE} cases, "
                        f"this is {version} with {len(CASES)}")
    try:
        selected = select(list(CASES), args.cases, args.exclude)
    except ValueError as error:
        print(f"PROBLEM: {error}")
        return finish(args, 0, 1)
    if args.list:
        for case_id in selected:
            print(f"{case_id:8} {' '.join(CASES[case_id].DESCRIPTION.split())[:140]}")
        return 0
    if not selected:
        problems.append("no case is selected")

    print(f"kosoku {version}: {len(selected)} of {len(CASES)} cases", flush=True)
    names = ["server", "client"] if args.role == "both" else [args.role]
    roles = [Role(name, selected) for name in names]
    if selected:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(run_all(roles, args))

    for role in roles:
        print()
        print_role(role)
    print()
    for role in roles:
        print_details(role)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if args.report:
        report = {
            "kosoku": version,
            "selected": selected,
            "problems": problems,
            "roles": {
                role.name: {
                    "seconds": round(role.seconds, 3),
                    "passed": len(role.selected) - len(role.failures),
                    "failed": role.failures,
                    "missing": role.missing,
                    "problems": role.problems,
                    "results": [role.results[i] for i in selected if i in role.results],
                }
                for role in roles
            },
        }
        args.report.write_text(json.dumps(report, indent=1) + "\n")
    total = sum(len(role.selected) for role in roles)
    failed = sum(len(role.failures) for role in roles)
    return finish(args, total - failed, failed + len(problems) + sum(len(role.problems) for role in roles))


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        worker_main()
    sys.exit(main())
