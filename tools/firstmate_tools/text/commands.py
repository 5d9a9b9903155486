"""Passwords in command lines, where a program takes them by a flag or a place that says nothing by itself. Pure.

`redaction` asks it of every text. Each pattern is tried only where a text of its own stands, and none looks further
than a few hundred characters: text comes from strangers.
"""

import re

from .marks import mark

_COMMANDS = (
    (("curl",), re.compile(r"(\bcurl\b[^\n|;]{0,100}?\s(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,100}:)([^\s\"']{1,200}+)")),
    (("sshpass",), re.compile(r"(\bsshpass\s{1,9}-p[ =]?)([^\s]{1,200}+)")),
    (
        ("mysql", "mariadb"),
        re.compile(r"(\b(?:mysql|mysqldump|mariadb|mysqladmin)\b[^\n|;]{0,100}?\s-p)([^\s]{2,200}+)"),
    ),
    (("redis-cli",), re.compile(r"(\bredis-cli\b[^\n|;]{0,100}?\s(?:-a|--pass) )([^\s]{1,200}+)")),
    (
        (" login ",),
        re.compile(
            r"(\b(?:docker|podman|nerdctl|buildah|helm registry)\s{1,9}login\b[^\n|;]{0,200}?\s-p[ =]?)([^\s]{1,200}+)"
        ),
    ),
    (
        ("ldap",),
        re.compile(r"(\bldap(?:search|modify|add|delete|whoami|passwd|compare)\b[^\n|;]{0,200}?\s-w ?)([^\s]{1,200}+)"),
    ),
    (
        ("htpasswd",),
        re.compile(
            r"(\bhtpasswd\s{1,9}-\w{0,9}b\w{0,9}\s{1,9}(?:-\S{1,20}\s{1,9})?\S{1,200}\s{1,9}\S{1,100}\s{1,9})(\S{1,200}+)"
        ),
    ),
    (
        ("requirepass", "masterauth"),
        re.compile(r"(\b(?:requirepass|masterauth)\s{1,9}[\"']?)([^\s\"']{1,200}+)"),
    ),
    ((" pass:",), re.compile(r"(\s-pass(?:in|out)?\s{1,9}pass:)([^\s]{1,200}+)")),
    (
        ("dentified", "DENTIFIED", "assword '", "ASSWORD '"),
        re.compile(r"(?i)(\bidentified by |\bwith (?:encrypted )?password )('[^'\n]{1,200}+')"),
    ),
    (("login", "LOGIN"), re.compile(r"(?i)(\blogin\s{1,9}\S{1,100}\s{1,9}password\s{1,9})(\S{1,200}+)")),
)
"""What programs take a password by, each with texts of which one stands in every such command."""
_PUT = rf"\1{mark('value')}"


def without_commands(value: str) -> str:
    """Text without the passwords that stand in command lines, in SQL, and in netrc and Redis files."""
    for hints, pattern in _COMMANDS:
        if any(hint in value for hint in hints):
            value = pattern.sub(_PUT, value)
    return value
