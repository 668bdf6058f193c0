# SPDX-License-Identifier: Apache-2.0
"""The ``txregistry`` command: what can be said to it, and which function answers.

Must not do anything itself. Errors are one sentence on standard error: status 1, or 2 where the command line
is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from txregistry import __version__
from txregistry.config import ConfigError, Configuration, ExternalDriver, NamedDriver, Storage, load
from txregistry.drivertest import run_driver_test
from txregistry.process.spec import StartError
from txregistry.serving import refuse, serve


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
    except (ConfigError, StartError) as error:
        return refuse(str(error))
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="txregistry", description="An OCI registry whose storage drivers are separate processes."
    )
    parser.add_argument("--version", action="version", version=f"txregistry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_config(commands)
    _add_driver(commands)
    return parser


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="serve in the foreground",
        description="Serve in the foreground. Without a file: ./registry-data on 127.0.0.1:5000.",
    )
    command.add_argument("file", nargs="?", metavar="FILE", help="the configuration file")
    command.add_argument("--config", metavar="FILE", help="likewise")
    command.add_argument("--addr", metavar="HOST:PORT", help="listen here, in place of http.addr")
    command.set_defaults(run=_serve)


def _add_config(commands: Any) -> None:
    group = commands.add_parser("config", help="look at a configuration").add_subparsers(
        metavar="COMMAND", required=True
    )
    command = group.add_parser(
        "check", help="say whether a configuration can be used", description="Say whether FILE can be used."
    )
    command.add_argument("file", metavar="FILE", help="the configuration file")
    command.set_defaults(run=_check)


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
    command.add_argument("--options", metavar="FILE", help="a YAML file of options; the place for secrets")
    command.add_argument("--large", action="store_true", help="use large data and many rounds")
    command.add_argument(
        "--command",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM",
        help="a driver program and its arguments; comes last",
    )
    command.set_defaults(run=_test_driver)


def _load(path: str | None, addr: str | None = None) -> Configuration:
    configuration = load(path, os.environ, addr=addr)
    return configuration


def _serve(parsed: argparse.Namespace) -> int:
    if parsed.file and parsed.config:
        raise ConfigError("two configuration files are named; name one")
    return serve(_load(parsed.config or parsed.file, parsed.addr))


def _check(parsed: argparse.Namespace) -> int:
    configuration = _load(parsed.file)
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{parsed.file} is fine: listens on {configuration.http.address}, "
        f"stores in {configuration.storage.driver.describe()}"
    )
    return 0


def _test_driver(parsed: argparse.Namespace) -> int:
    named = [choice for choice in (parsed.name, parsed.socket, parsed.command) if choice]
    if len(named) != 1:
        raise ConfigError("name one driver to test: NAME, --socket PATH, or --command PROGRAM [ARGUMENT ...]")
    options = _options(parsed)
    if parsed.socket and options:
        raise ConfigError("a driver on a socket has its options already; remove --option and --options")
    driver = (
        NamedDriver(parsed.name, options)
        if parsed.name
        else ExternalDriver(tuple(parsed.command or ()), parsed.socket or "", options)
    )
    return run_driver_test(Storage(driver), print, is_large=parsed.large)


def _options(parsed: argparse.Namespace) -> Mapping[str, Any]:
    options: dict[str, Any] = {}
    if parsed.options:
        try:
            with open(parsed.options, encoding="utf-8") as file:
                content = yaml.safe_load(file)
        except (OSError, ValueError, yaml.YAMLError):
            raise ConfigError(f"--options: {parsed.options} can't be read as YAML; correct it") from None
        if not isinstance(content, dict):
            raise ConfigError(f"--options: {parsed.options} is not a mapping of options; correct it")
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
