"""Folding and reading of container logs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstmate_tools.loglines import ERROR, FATAL, PLAIN, WARN, Peer, fold, listening, rank, telling, unreached

GO_PANIC = """level=info msg="Starting broker_exporter" version="1.7.0"
panic: regexp: Compile(`[`): error parsing regexp: missing closing ]: `[`

goroutine 1 [running]:
regexp.MustCompile({0xc000046f91, 0x1})
\t/usr/local/go/src/regexp/regexp.go:313 +0xb4
main.main()
\t/src/main.go:112 +0x7c5"""
PYTHON = """Traceback (most recent call last):
  File "/app/inventory/__main__.py", line 41, in <module>
    main()
  File "<frozen os>", line 714, in __getitem__
KeyError: 'WAREHOUSE_REGION'"""
JAVA = """2026-11-18 07:40:12,200 INFO  [main] Application - starting
Exception in thread "main" org.springframework.beans.BeanCreationException: dataSource
\tat org.springframework.Foo.bar(Foo.java:12)
Caused by: java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.connect(Net.java:1)
\t... 12 more"""
NODE = """server starting
node:internal/modules/cjs/loader:1080
  throw err;
  ^

Error: Cannot find module '/app/server.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)"""
RUST = """starting
thread 'main' panicked at src/main.rs:12:5:
DATABASE_URL must be set
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"""
JSON = """{"level":"info","msg":"connecting","host":"orders-db","port":5432}
{"level":"error","msg":"connection failed","error":"FATAL: password authentication failed for user \\"orders\\""}
{"level":"fatal","msg":"cannot open the order store, giving up after 1 attempt"}"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (GO_PANIC, "panic: regexp: Compile(`[`): error parsing regexp: missing closing ]: `[`"),
        (PYTHON, "KeyError: 'WAREHOUSE_REGION'"),
        (JAVA, "Caused by: java.net.ConnectException: Connection refused"),
        (NODE, "Error: Cannot find module '/app/server.js'"),
        (RUST, "DATABASE_URL must be set"),
        (JSON, '{"level":"fatal","msg":"cannot open the order store, giving up after 1 attempt"}'),
        ("migrate: 0042 ... ok\nERROR: could not create unique index", "ERROR: could not create unique index"),
        ("all is well\nlast words", "last words"),
    ],
)  # fmt: skip
def test_the_line_that_tells_why_it_ended_is_found(log: str, line: str) -> None:
    assert line in telling(log.splitlines())


def test_stack_frames_are_not_telling() -> None:
    assert not [line for line in telling(GO_PANIC.splitlines()) if "goroutine" in line or ".go:" in line]
    assert not [line for line in telling(PYTHON.splitlines()) if "File" in line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("E1118 07:41:00.118000   1 main.go:12] cannot list pods", ERROR),
        ("F1118 07:41:00.118000   1 main.go:12] no leader", FATAL),
        ("I1118 07:41:00.118000   1 main.go:12] retry after error", PLAIN),
        ("level=error msg=boom", ERROR),
        ('{"severity":"CRITICAL","message":"x"}', FATAL),
        ('{"level":50,"msg":"x"}', ERROR),
        ('{"level":30,"msg":"failed before, fine now"}', PLAIN),
        ("2026-11-18T07:41:00Z WARN cache miss, could not warm", WARN),
        ("[2026-11-18T07:39:58,300][ERROR][o.o.Node] gone", ERROR),
        ("finished with 0 errors", PLAIN),
        ("done, error=nil", PLAIN),
        ("ERROR: could not create unique index", ERROR),
        ("exec /app/server: exec format error", FATAL),
        ("  at Module._resolveFilename (x)", PLAIN),
        ("info: listening", PLAIN),
    ],
)
def test_a_line_has_the_rank_that_it_names(line: str, expected: int) -> None:
    assert rank(line) == expected


def test_repeats_fold_into_one_template_with_errors_first() -> None:
    lines = [
        "2026-11-18T07:41:00Z INFO request 17 from 10.0.0.1:4411 took 12 ms",
        "2026-11-18T07:41:01Z INFO request 18 from 10.0.0.2:4412 took 9 ms",
        "2026-11-18T07:41:02Z ERROR upstream 3f1c9e3e-4a2b-4c1d-9e8f-001122334455 gone",
        "",
        "2026-11-18T07:41:03Z INFO request 19 from 10.0.0.3:4413 took 1 ms",
    ]
    folded = fold(lines)
    assert [(t.is_error, t.count, t.first_line, t.last_line) for t in folded] == [(True, 1, 2, 2), (False, 3, 0, 4)]
    assert folded[1].template == "<time> INFO request <n> from <ip> took <n> ms"
    assert folded[1].sample == lines[4]


def test_status_codes_keep_lines_apart() -> None:
    assert len(fold(["GET /a status=200", "GET /a status=500"])) == 2


@pytest.mark.parametrize(
    ("line", "peer"),
    [
        ("dial tcp 10.96.3.4:5432: connect: connection refused", Peer("10.96.3.4", 5432)),
        ("dial tcp: lookup orders-db on 10.96.0.10:53: no such host", Peer("orders-db", 0)),
        ('could not translate host name "orders-db" to address', Peer("orders-db", 0)),
        ("Error: getaddrinfo ENOTFOUND orders-db", Peer("orders-db", 0)),
        ("Error: connect ECONNREFUSED orders-db:5432", Peer("orders-db", 5432)),
        ("redis://cache.shop.svc.cluster.local:6379: connection refused", Peer("cache.shop.svc.cluster.local", 6379)),
        ("Get http://catalog/health: context deadline exceeded (Client.Timeout exceeded)", Peer("catalog", 0)),
        ("Can't connect to MySQL server on 'orders-db' (111)", Peer("orders-db", 0)),
        ("failed to connect to orders-db", Peer("orders-db", 0)),
        ('{"msg":"connect failed","host":"orders-db","error":"connection refused"}', Peer("orders-db", 0)),
        ("postgres://user:secret@orders-db:5432/orders: connection timed out", Peer("orders-db", 5432)),
    ],
)
def test_what_a_program_could_not_reach_is_read_from_its_log(line: str, peer: Peer) -> None:
    assert peer in unreached([line])


def test_a_peer_that_refused_a_password_was_reached() -> None:
    assert not unreached(['connection to server at "orders-db", port 5432 failed: password authentication failed'])
    assert not unreached(["listening on orders-db:5432"])


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ('{"level":"info","msg":"pricing 1.0.0 listening","addr":":8080"}', {8080}),
        ("2026-11-18 07:41:00 Tomcat started on port(s): 9090 (http)", {9090}),
        ("Listening on http://0.0.0.0:3000", {3000}),
        ("GET /cart/8841 200", set[int]()),
        ("not listening: bind: address 0.0.0.0:80: connection refused", set[int]()),
    ],
)
def test_the_port_on_which_a_program_listens_is_read_from_its_log(line: str, ports: set[int]) -> None:
    assert listening([line]) == ports


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=40))
def test_any_text_is_read_without_a_stumble(lines: list[str]) -> None:
    folded = fold(lines)
    assert sum(t.count for t in folded) == sum(1 for line in lines if line.strip())
    assert all(lines[t.last_line] == t.sample and t.first_line <= t.last_line for t in folded)
    assert len(telling(lines)) <= 3
    assert all(peer.port >= 0 for peer in unreached(lines))
    assert all(1 <= port <= 65535 for port in listening(lines))
