# SPDX-License-Identifier: Apache-2.0
"""The ``txregistry`` command: what can be said to it, and which function answers.

Must not do anything itself. Errors are one sentence on standard error: status 1, or 2 where the
command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from txregistry import __version__
from txregistry.authentication import check_files
from txregistry.config import (
    ConfigError,
    Configuration,
    ExternalDriver,
    NamedDriver,
    Storage,
    installed_drivers,
    load,
    make_schema,
    show,
)
from txregistry.config.durations import parse_duration, render_duration
from txregistry.drivertest import find_cases, run_driver_test
from txregistry.maintenance import (
    KINDS,
    LEAST_AGE,
    UNFINISHED,
    CheckWishes,
    run_check,
    run_uploads_list,
    run_uploads_purge,
)
from txregistry.process.spec import StartError
from txregistry.serving import refuse, serve
from txregistry.tls import TlsError, make_contexts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The status for the operating system.
    """
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (ConfigError, StartError, TlsError) as error:
        return refuse(str(error))
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="txregistry",
        description="An OCI registry whose storage drivers are separate processes.",
    )
    parser.add_argument("--version", action="version", version=f"txregistry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_config(commands)
    _add_driver(commands)
    _add_check(commands)
    _add_uploads(commands)
    return parser


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="serve in the foreground",
        description="Serve in the foreground. Without a file: ./registry-data on 127.0.0.1:5000.",
    )
    _add_file(command)
    command.add_argument("--addr", metavar="HOST:PORT", help="listen here, in place of http.addr")
    command.set_defaults(run=_serve)


def _add_config(commands: Any) -> None:
    group = commands.add_parser("config", help="look at a configuration").add_subparsers(
        metavar="COMMAND", required=True
    )
    command = group.add_parser(
        "check",
        help="say whether a configuration can be used",
        description="Say whether FILE can be used.",
    )
    _add_file(command)
    command.set_defaults(run=_check)
    command = group.add_parser(
        "show",
        help="show the configuration that holds",
        description="Show the configuration that holds, defaults and variables included and secrets masked.",
    )
    _add_file(command)
    command.set_defaults(run=_show)
    command = group.add_parser(
        "schema",
        help="print a JSON Schema of the configuration file",
        description="Print a JSON Schema of the configuration file, for editors.",
    )
    command.set_defaults(run=_print_schema)


def _add_driver(commands: Any) -> None:
    group = commands.add_parser("driver", help="work on storage drivers").add_subparsers(
        metavar="COMMAND", required=True
    )
    command = group.add_parser(
        "test",
        help="run the contract suite against a driver",
        description="Run the contract suite against a driver, below a directory of its own in its storage.",
    )
    command.add_argument("name", nargs="?", metavar="NAME", help="an installed driver")
    command.add_argument("--socket", metavar="PATH", help="a driver that listens there")
    command.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option for the driver; may be repeated",
    )
    command.add_argument(
        "--options", metavar="FILE", help="a YAML file of options; the place for secrets"
    )
    command.add_argument(
        "--only", default="", metavar="WORDS", help="the promises with these words in their names"
    )
    command.add_argument("--large", action="store_true", help="use large data and many rounds")
    command.add_argument(
        "--command",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM",
        help="a driver program and its arguments; comes last",
    )
    command.set_defaults(run=_test_driver)


def _add_check(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="check a storage tree",
        description="Check everything in the configured storage. Nothing is changed without --repair. "
        "Status 0: clean, 1: problems found, 2: the check could not be finished.",
    )
    _add_configuration(command)
    command.add_argument(
        "--read-data", action="store_true", help="read all data and compute their digests"
    )
    command.add_argument(
        "--sparse", action="store_true", help="an index may list manifests that are not here"
    )
    command.add_argument("--strict", action="store_true", help="warnings count as problems")
    command.add_argument(
        "--progress",
        action="store_true",
        help="tell how far it is every ten seconds, if standard error is no terminal",
    )
    command.add_argument(
        "--ignore",
        action="append",
        default=[],
        choices=sorted(KINDS),
        metavar="CLASS",
        help="leave out a class of findings; may be repeated",
    )
    command.add_argument(
        "--repair",
        action="store_true",
        help="move what is damaged into quarantine; stop the registry first",
    )
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.set_defaults(run=_check_storage)


def _add_uploads(commands: Any) -> None:
    group = commands.add_parser("uploads", help="look after uploads in progress").add_subparsers(
        metavar="COMMAND", required=True
    )
    command = group.add_parser(
        "list", help="list all uploads in progress", description="List all uploads in progress."
    )
    _add_configuration(command)
    command.add_argument("--json", action="store_true", help="list them as JSON")
    command.set_defaults(run=_list_uploads)
    command = group.add_parser(
        "purge",
        help="remove uploads that nobody goes on with",
        description="Remove uploads that are idle for long. The registry may be running.",
    )
    _add_configuration(command)
    command.add_argument(
        "--older-than",
        metavar="DURATION",
        help="idle for longer than this, such as 24h; the configured age of uploadpurging else",
    )
    command.add_argument("--dry-run", action="store_true", help="only say which")
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.set_defaults(run=_purge_uploads)


def _add_file(command: argparse.ArgumentParser) -> None:
    """Let the file be named as registry:3 does, and as all other commands do."""
    command.add_argument("file", nargs="?", metavar="FILE", help="the configuration file")
    command.add_argument("--config", metavar="FILE", help="likewise")


def _add_configuration(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="the configuration file")


def _load(path: str | None, addr: str | None = None) -> Configuration:
    configuration = load(path, os.environ, addr=addr)
    return configuration


def _named(parsed: argparse.Namespace) -> str | None:
    """The file that is named in either way."""
    if parsed.file and parsed.config:
        raise ConfigError("two configuration files are named; name one")
    path: str | None = parsed.config or parsed.file
    return path


def _serve(parsed: argparse.Namespace) -> int:
    path = _named(parsed)

    def read() -> Configuration:
        return _load(path, parsed.addr)

    return serve(read(), read)


def _check(parsed: argparse.Namespace) -> int:
    path = _named(parsed)
    if path is None:
        raise ConfigError("no file is named; write txregistry config check FILE")
    configuration = _load(path)
    http, warnings = configuration.http, [*configuration.warnings]
    if http.tls.is_on:
        for each in make_contexts(http.tls, http2=not http.http2.disabled).credentials:
            warnings += [f"http.tls: {problem}" for problem in each.problems(time.time())]
    warnings += check_files(configuration)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{path} is fine: listens on {configuration.http.address}, "
        f"stores in {configuration.storage.driver.describe()}"
    )
    return 0


def _show(parsed: argparse.Namespace) -> int:
    configuration = _load(_named(parsed))
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"# {configuration.source}")
    print(show(configuration), end="")
    return 0


def _print_schema(parsed: argparse.Namespace) -> int:
    print(json.dumps(make_schema(installed_drivers()), indent=2))
    return 0


def _check_storage(parsed: argparse.Namespace) -> int:
    wishes = CheckWishes(
        read_data=parsed.read_data,
        sparse=parsed.sparse,
        strict=parsed.strict,
        repair=parsed.repair,
        is_json=parsed.json,
        progress=parsed.progress,
        ignored=frozenset(parsed.ignore),
    )
    try:
        configuration = _load(parsed.config)
    except ConfigError as error:
        refuse(str(error))
        return UNFINISHED
    return run_check(configuration, wishes, sys.stdout, sys.stderr)


def _list_uploads(parsed: argparse.Namespace) -> int:
    return run_uploads_list(_load(parsed.config), sys.stdout, is_json=parsed.json)


def _purge_uploads(parsed: argparse.Namespace) -> int:
    configuration = _load(parsed.config)
    age = max(configuration.upload_purging.age, LEAST_AGE)
    if parsed.older_than is not None:
        try:
            age = parse_duration(parsed.older_than)
        except ValueError:
            raise ConfigError(
                f"--older-than: {parsed.older_than!r} is not a duration; write one such as 24h or 90m"
            ) from None
    if age < LEAST_AGE:
        raise ConfigError(
            f"--older-than: an upload that was idle for {render_duration(age)} may be in use; "
            f"give {render_duration(LEAST_AGE)} or more"
        )
    return run_uploads_purge(
        configuration, age, sys.stdout, dry_run=parsed.dry_run, is_json=parsed.json
    )


def _test_driver(parsed: argparse.Namespace) -> int:
    named = [choice for choice in (parsed.name, parsed.socket, parsed.command) if choice]
    if len(named) != 1:
        raise ConfigError(
            "name one driver to test: NAME, --socket PATH, or --command PROGRAM [ARGUMENT ...]"
        )
    options = _options(parsed)
    if parsed.socket and options:
        raise ConfigError(
            "a driver on a socket has its options already; remove --option and --options"
        )
    cases = find_cases(parsed.only)
    if not cases:
        raise ConfigError(
            f"--only: no promise has the words {parsed.only!r} in its name; leave it away to see all"
        )
    driver = (
        NamedDriver(parsed.name, options)
        if parsed.name
        else ExternalDriver(tuple(parsed.command or ()), parsed.socket or "", options)
    )
    return run_driver_test(Storage(driver), print, cases=cases, is_large=parsed.large)


def _options(parsed: argparse.Namespace) -> Mapping[str, Any]:
    options: dict[str, Any] = {}
    if parsed.options:
        try:
            with open(parsed.options, encoding="utf-8") as file:
                content = yaml.safe_load(file)
        except (OSError, ValueError, yaml.YAMLError):
            raise ConfigError(
                f"--options: {parsed.options} can't be read as YAML; correct it"
            ) from None
        if not isinstance(content, dict):
            raise ConfigError(
                f"--options: {parsed.options} is not a mapping of options; correct it"
            )
        options.update(content)
    for text in parsed.option:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--option: {text!r} has no value; write {text}=VALUE")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            options[key] = value
    return options


if __name__ == "__main__":
    sys.exit(main())
