#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fetches metrics over HTTP and reads them as Prometheus would, strictly.

usage: exposition.py AT [PATH [METHOD]]   AT is HOST:PORT or the path of a local socket

Prints "STATUS" and, for /metrics, a line "NAME KIND HELP" for each family, then "SAMPLE VALUE" for each
sample. What is not right ends it with a sentence and status 1.
"""
import http.client
import re
import socket
import sys

HEAD = re.compile(r"# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.*)")
SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.host)


def fetch(at, path="/metrics", method="GET"):
    connection = Local(at) if at.startswith("/") else http.client.HTTPConnection(at, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def family_of(sample, kinds):
    for suffix in ("_bucket", "_sum", "_count", ""):
        if sample.endswith(suffix) and (sample[:len(sample) - len(suffix)] in kinds):
            name = sample[:len(sample) - len(suffix)]
            if not suffix or kinds[name] in ("summary", "histogram"):
                return name
    raise ValueError("%s is of no family" % sample)


def parse(text):
    kinds, helps, samples, current = {}, {}, {}, None
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in text.splitlines():
        head = HEAD.fullmatch(line)
        if head:
            what, name, rest = head.groups()
            into = helps if what == "HELP" else kinds
            if name in into or (what == "HELP" and name in kinds):
                raise ValueError("%s twice, or late: %s" % (what, name))
            into[name] = rest
            current = name
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample:
            raise ValueError("not a sample: %r" % line)
        name, _, labels, value = sample.groups()
        if family_of(name, kinds) != current:
            raise ValueError("%s among those of %s" % (name, current))
        key = name + "{" + (labels or "") + "}"
        if key in samples:
            raise ValueError("twice: " + key)
        samples[key] = float(value)
    for name, kind in kinds.items():
        if kind not in ("counter", "gauge", "summary", "histogram"):
            raise ValueError("kind of %s: %s" % (name, kind))
        if (kind == "counter") != name.endswith("_total"):
            raise ValueError("%s is a %s" % (name, kind))
    return kinds, helps, samples


def main():
    status, headers, text = fetch(*sys.argv[1:])
    print(status)
    if status != 200 or len(sys.argv) > 3 or (len(sys.argv) > 2 and sys.argv[2] != "/metrics"):
        print(text, end="")
        return
    if headers["Content-Type"] != "text/plain; version=0.0.4; charset=utf-8":
        raise ValueError("Content-Type: " + headers["Content-Type"])
    kinds, helps, samples = parse(text)
    for name, kind in kinds.items():
        print(name, kind, helps.get(name, ""))
    for sample, value in samples.items():
        print(sample, repr(value))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
