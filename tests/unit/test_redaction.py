"""Redaction: no secret stays, whatever shape it has or is wrapped in; nothing that a diagnosis needs goes."""

import base64
import gzip
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstmate_tools.text import clean, is_secret, marks, redact, untrusted

KEY = "-----BEGIN {0}-----\nMIIEowIBAAKCAQEAsecretsecret\nq83vEjRWeJCrze8SNFZ4kA\n-----END {0}-----"
PASSWORD = "hunter22x"
DOCKER = json.dumps({"auths": {"r.example": {"username": "ci", "password": PASSWORD, "auth": "Y2k6aHVudGVyMjJ4"}}})


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HELM = base64.b64encode(gzip.compress(b'{"name":"db","config":{"password":"hunter22x"}}')).decode()
SECRETS: dict[str, tuple[str, str]] = {
    # what must be gone: where it stands
    "aws secret": ("wJalrXUtnFEMI", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "aws pair": ("wJalrXUtnFEMI", "AKIAABCDEFGHIJKLMNOP:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "aws session": ("X2VjEOr", "IQoJb3JpZ2luX2VjEOr//////////wEaCXVzLWVhc3QtMSJHMEUCIQ"),
    "registry": ("Y2k6aHVud", DOCKER),
    "registry, escaped": (PASSWORD, json.dumps({"x": DOCKER})),
    "registry, twice": (PASSWORD, json.dumps(json.dumps({"x": DOCKER}))),
    "registry, base64": (b64(DOCKER)[:20], f".dockerconfigjson: {b64(DOCKER)}"),
    "jdbc": (PASSWORD, f"jdbc:postgresql://h/db?user=a&password={PASSWORD}&ssl=true"),
    "ado": (PASSWORD, f"Server=h;Database=d;Password={PASSWORD},y;Timeout=5"),
    "odbc": ("a;b", "Driver={ODBC};PWD={a;b};"),
    "storage account": ("abcdefgh", "AccountName=a;AccountKey=abcdefghijkl==;EndpointSuffix=core"),
    "postgres": (PASSWORD, f"postgres://u:{PASSWORD}@h/db"),
    "redis": (PASSWORD, f"redis://:{PASSWORD}@h:6379/0"),
    "amqp": (PASSWORD, f"amqps://guest:{PASSWORD}@rabbit:5671/"),
    "mongodb, odd password": ("p/w@d", "mongodb+srv://user:p/w@d@cluster0.example/x"),
    "mysql of Go": (PASSWORD, f"root:{PASSWORD}@tcp(mysql:3306)/db"),
    "url, escaped": (PASSWORD, quote(f"https://u:{PASSWORD}@h/x", safe="")),
    "assignment, escaped": (PASSWORD, f"redirect=x%3Fpassword%3D{PASSWORD}%26a%3Db"),
    "kubeconfig key": ("LS0tLS1CRUdJTi", f"client-key-data: {b64(KEY.format('RSA PRIVATE KEY'))}"),
    "kubeconfig token": ("abcdef12", "users:\n- name: a\n  user:\n    token: abcdef12"),
    "certificate with key": (
        b64(KEY.format("PRIVATE KEY"))[:30],
        f"client-certificate-data: {b64('x' * 30 + KEY.format('PRIVATE KEY'))}",
    ),
    "openssh": ("MIIE", KEY.format("OPENSSH PRIVATE KEY")),
    "pgp": ("MIIE", KEY.format("PGP PRIVATE KEY BLOCK")),
    "key in JSON": ("MIIE", json.dumps({"k": KEY.format("EC PRIVATE KEY")})),
    "key without its beginning": ("MIIE", "MIIEowIBAAKCAQEAsecretsecret\n-----END RSA PRIVATE KEY-----\nafter"),
    "key in wrapped base64": (
        b64(KEY.format("PRIVATE KEY"))[80:100],
        "\n".join(b64(KEY.format("PRIVATE KEY"))[n : n + 76] for n in range(0, 200, 76)),
    ),
    "base64 behind a sign": (b64("password: " + PASSWORD)[:16], f"data={b64('password: ' + PASSWORD)}"),
    "helm release": (HELM[:24], HELM),
    "env in JSON": (PASSWORD, f'[{{"name":"DB_PASSWORD","value":"{PASSWORD}"}}]'),
    "env in YAML": (PASSWORD, f"- name: DB_PASSWORD\n  value: {PASSWORD}"),
    "list": ("abcd1234", '{"api_keys": ["abcd1234", "x"]}'),
    "xml": (PASSWORD, f"<password>{PASSWORD}</password>"),
    "header": ("abcdefghijk", "Authorization: Bearer abcdefghijk"),
    "header, JSON": ("dXNlcjpwYXNz", '{"Authorization":["Basic dXNlcjpwYXNz"]}'),
    "header, own": ("8f3a9c12", "X-Api-Key: 8f3a9c12"),
    "cookie": ("abcdef12", "Cookie: session=abcdef12; theme=dark"),
    "presigned": ("abcdef0123", "https://b.s3.example/x?X-Amz-Signature=abcdef0123456789&X-Amz-Expires=60"),
    "flag": (PASSWORD, f"app --db-password {PASSWORD} --verbose"),
    "curl": (PASSWORD, f"curl -s -u admin:{PASSWORD} http://h/"),
    "mysql": (PASSWORD, f"mysqldump -u root -p{PASSWORD} db"),
    "redis-cli": (PASSWORD, f"redis-cli -h h -a {PASSWORD} ping"),
    "netrc": (PASSWORD, f"machine h login u password {PASSWORD}"),
    "sql": (PASSWORD, f"CREATE USER u IDENTIFIED BY '{PASSWORD}'"),
    "hash": ("abcdefghijklmno", "admin:$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUV"),
    "cut off": (PASSWORD, f'{{"password":"{PASSWORD}'),
    "after an innocent name": (PASSWORD, f"token-service: password={PASSWORD}"),
    "weak": ("=password", "DB_PASSWORD=password"),
    "short number": ("1234", "password=1234"),
    "short for a password": (PASSWORD, f"DB_PASS={PASSWORD}"),
    "shorter": (PASSWORD, f"admin_pw: {PASSWORD}, smtp.pass={PASSWORD}"),
    "in humps": (PASSWORD, f'{{"dbPass":"{PASSWORD}"}}'),
    "credentials": (PASSWORD, f"SMTP_CREDS={PASSWORD}"),
    "pass of a log line": (PASSWORD, f"level=info user=bob pass={PASSWORD}"),
    "redis-server": (PASSWORD, f"redis-server --requirepass {PASSWORD} --port 6379"),
    "redis.conf": (PASSWORD, f"port 6379\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}\n"),
    "docker login": (PASSWORD, f"docker login -u ci -p {PASSWORD} r.example"),
    "ldap": (PASSWORD, f"ldapsearch -x -D cn=admin -w {PASSWORD} -b dc=x"),
    "htpasswd": (PASSWORD, f"htpasswd -b /etc/users ann {PASSWORD}"),
    "openssl": (PASSWORD, f"openssl rsa -in k.pem -passin pass:{PASSWORD}"),
    "attribute": (PASSWORD, f'<add key="DbPassword" value="{PASSWORD}"/>'),
    "hugging face": ("AbCdEfGhIj", "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"),
    "grafana": ("AbCdEfGhIj", "glsa_AbCdEfGhIjKlMnOpQrStUvWxYz012345_a1b2c3d4"),
    "entra id": ("AbCdEfGhIj", "rejected abc8Q~AbCdEfGhIjKlMnOpQrStUvWxYz01234.-_"),
    "age": ("QQPZRY9X8", "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3JN54KHCE6MU"),
    "telegram": (
        "AAHdqTcvCH",
        "POST https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1/sendMessage",
    ),
    "slack": ("T0000/B0000", "https://hooks.slack.com/services/T0000/B0000/abcdefghijkl"),
    "stripe": ("abcdefghij", "sk_live_abcdefghij1234"),
}

STAYS = (
    "couldn't find key password in Secret shop/db",
    'secret "db-password" not found',
    'secrets "db-password" is forbidden: User "x" cannot get resource',
    'MountVolume.SetUp failed for volume "v" : secret "tls-token" not found',
    'failed to fetch anonymous token: Get "https://auth.docker.io/token?scope=repository%3Alibrary%2Fnginx%3Apull"',
    "failed to fetch oauth token: unexpected status from GET request to https://auth.docker.io/token: 401",
    'Back-off pulling image "ghcr.io/acme/token-service:v1.2.3"',
    'Back-off pulling image "ghcr.io/acme/secret:1.4"',
    'image "token:v1.2.3" not present',
    'Error syncing pod "auth-token-7d9f": CrashLoopBackOff',
    "http://token.shop.svc:30080/path",
    "connect to vault-token.default.svc:8200: connection refused",
    "docker-pullable://nginx:1.27@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "oci://r.example:5000/x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "http://host:8080/u/joe@example.com",
    "secretName: db-credentials",
    '"secretName":"tls","tokenPath":"/var/run/x"',
    "TOKEN_FILE=/var/run/secrets/kubernetes.io/serviceaccount/token",
    "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "automountServiceAccountToken: true",
    "max_tokens=4096 prompt_tokens: 12345",
    "tokenizer: gpt2-small-v3",
    "Basic authentication is off; Bearer authentication required",
    "expirationSeconds: 3607",
    'secret="kube-system/my-secret" err="not found"',
    "I0101 token-refresher: refreshed in 32ms",
    "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "uid: 3f2c1d9e-8a7b-4c6d-9e5f-1a2b3c4d5e6f",
    "pod-template-hash=7d9f8b6c5d cart-7d9f8b6c5d-x2x9z",
    "pulled sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    'FATAL: password authentication failed for user "app"',
    "token: expired",
    "password: not set",
    "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/x",
    'etag "W/\\"5d41402abc4b2a76b9719d911017c592\\""',
    '{"secret":{"secretName":"tls","defaultMode":420}}',
    "DB_PASSWORD=$(DB_PASSWORD_FROM_SECRET)",
    "certificate-authority-data: " + b64("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
    "traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "pass=12 fail=0 skip=1234",
    "checks: pass: yes",
    "proxy_pass: http://backend:8080",
    "BYPASS=on first-pass: done",
    "compass=7 passes=1200 passed: 12 of 13",
    "login -p 8080",
    "sidecar pass: 3 of 4 probes",
    "find no credentials: `irsa-assume-role-denied` or `pod-identity-failure`",
)


@pytest.mark.parametrize(("secret", "text"), SECRETS.values(), ids=SECRETS)
def test_a_secret_goes_and_a_mark_stands_there(secret: str, text: str) -> None:
    assert secret in text
    left = redact(clean(text))
    assert secret not in left and marks(left) >= 1
    assert redact(left) == left


@pytest.mark.parametrize("text", STAYS)
def test_what_a_diagnosis_needs_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "dbPass",
        "smtp.creds",
        "DB_PASSWORD",
        "PASSWORD_DEV",
        "clientSecret",
        "SecretAccessKey",
        "api-key",
        "authToken",
        "client-key-data",
    ],
)
def test_a_name_that_says_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "secretName",
        "TOKEN_PATH",
        "passwordSecretRef",
        "token-service",
        "token.shop.svc",
        "tokenizer",
        "AWS_ACCESS_KEY_ID",
        "passwordKey",
        "secretary",
        "bypass",
        "proxy_pass",
        "pass_count",
    ],
)
def test_a_name_that_only_speaks_of_one(name: str) -> None:
    assert not is_secret(name)


PIECES = st.sampled_from(
    [
        '"',
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        "=",
        ", ",
        " ",
        "\n",
        "%3D",
        "%",
        "password",
        "api_key",
        "token-a",
        "auth",
        "Bearer ",
        "Authorization: ",
        "https://u:",
        "@h",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "AKIAABCDEFGHIJKLMNOP",
        "hunter22",
        "x",
        "--secret ",
        "name: ",
        "value: ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "Cookie: a=",
        "cGFzc3dvcmQ9aHVudGVyMjJ4eHh4",
        "$2y$10$",
        "curl -u a:",
        "(tcp",
        "<password>",
        "</",
        "\u200b",
        "é",
        ";",
        "&",
        "PWD=",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(clean(text))
    assert redact(once) == once


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES | st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {str(len(value)): [shape(one) for one in value.values()]}
    return [shape(one) for one in value] if isinstance(value, list) else None


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["password", "api_key", "name", "note", "token"]), st.text(max_size=30), max_size=4)
)
def test_json_stays_json_with_the_same_keys(value: dict[str, str]) -> None:
    text = json.dumps(value)
    assert json.loads(redact(text)).keys() == value.keys()


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["password", "api_key", "name"]), st.text(max_size=20), max_size=3))
def test_json_within_json_stays_json(value: dict[str, str]) -> None:
    outer = json.loads(redact(json.dumps({"body": json.dumps(value), "n": 1})))
    assert json.loads(outer["body"]).keys() == value.keys()


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60))
def test_nothing_that_a_reader_cannot_see_is_left(text: str) -> None:
    import unicodedata

    left = untrusted(text)
    assert not [c for c in left if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co"} and c not in "\n\t"]


UNITS = [
    "a.b-c_d",
    "eyJ-",
    "token.",
    "--",
    "://",
    "password ",
    "token-",
    'password="',
    "\x1b]",
    "token:",
    "token=/",
    "token={{",
    "token=[redacted:",
    'tokenizer="',
    '\\"',
    'password=\\"',
    "a@",
    "://a:",
    "://a:b@",
    "a:b@tcp(",
    "-----BEGIN PRIVATE KEY-----",
    "abcdefghijklmnopqrst\n-----END PRIVATE KEY-----\n",
    "%41",
    "QUFB",
    "QUFB\n",
    "name: token value: ",
    '"token":["a",',
    "<token>",
    "curl -u ",
    "mysql -p",
    "cookie: a=",
    "authorization: ",
    "bearer ",
    "$2y$10$",
    "é",
    "\u200b",
    "password=,",
    "H4sI",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_made_to_be_slow_takes_about_a_second(unit: str) -> None:
    """Beside what an ordinary megabyte takes on the same machine at the same moment, which may be a slow one."""
    hostile = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    best = min(_seconds(hostile) for _ in range(2))
    assert best < 1 or best < 2 * min(_seconds(_ORDINARY) for _ in range(2))


_LINE = '2026-11-21T21:14:19Z INFO done method=GET path=/api/carts/{0} status=200 auth=ok key="cart-{0}" took=12ms\n'
_ORDINARY = "".join(_LINE.format(number) for number in range(10_000))[:1_000_000]


def _seconds(text: str) -> float:
    begin = time.process_time()
    untrusted(text)
    return time.process_time() - begin
