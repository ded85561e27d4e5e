"""The command completion: scripts for shells, made of the parser itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fastnn.cli import parser_of_all

_FILES = ("FILE", "MODEL", "DATA", "OUT")
"""Placeholders of the help that stand for files."""


@dataclass(frozen=True)
class _Option:
    """An option of a command.

    `values` are what may follow it, None if nothing does; `takes_file` is whether that is a file.
    """

    flags: tuple[str, ...]
    help: str
    values: tuple[str, ...] | None
    takes_file: bool


@dataclass(frozen=True)
class _Command:
    """A command: its options, and the words or files that it takes."""

    name: str
    help: str
    options: tuple[_Option, ...]
    words: tuple[str, ...]
    takes_file: bool


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn completion``."""
    parser = parser_of_all()
    write = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]
    print("\n".join(write(parser.prog, [_top(parser), *_commands(parser)])))
    return 0


# ---------------------------------------------------------------- from the parser


def _top(parser: argparse.ArgumentParser) -> _Command:
    """The command line before a command."""
    return _command("", "", parser)


def _commands(parser: argparse.ArgumentParser) -> Iterator[_Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield _command(name, helps[name], command)


def _command(name: str, text: str, parser: argparse.ArgumentParser) -> _Command:
    options, words, takes_file = [], [], False
    for action in parser._actions:
        if action.option_strings:
            options.append(_option(action))
        elif isinstance(action, argparse._SubParsersAction):
            words += list(action.choices)
        elif action.choices is not None:
            words += list(map(str, action.choices))
        else:
            takes_file |= action.metavar in _FILES
    return _Command(name, text, tuple(options), tuple(words), takes_file)


def _option(action: argparse.Action) -> _Option:
    values = None if action.nargs == 0 else tuple(map(str, action.choices or ()))
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return _Option(tuple(action.option_strings), text, values, action.metavar in _FILES)


def _flags(command: _Command) -> list[str]:
    return [flag for option in command.options for flag in option.flags]


def _quoted(words: Sequence[str]) -> str:
    """Words as one word of bash."""
    return shlex.quote(" ".join(words))


# -------------------------------------------------------------------- bash and zsh


def _cases(
    commands: list[_Command], offer: Callable[[Sequence[str]], str], files: str
) -> Iterator[str]:
    """Lines of `case` for the word behind an option: ``command,option``."""
    for command in commands:
        for option in command.options:
            if option.values is None:
                continue
            pattern = "|".join(f"{command.name},{flag}" for flag in option.flags)
            if option.values:
                yield f"        {pattern}) {offer(option.values)}; return ;;"
            elif option.takes_file:
                yield f"        {pattern}) {files}; return ;;"
            else:
                yield f"        {pattern}) return ;;"


def _bash(program: str, commands: list[_Command]) -> Iterator[str]:
    def offer(words: Sequence[str]) -> str:
        return f'COMPREPLY=($(compgen -W {_quoted(words)} -- "$current"))'

    files = 'COMPREPLY=($(compgen -f -- "$current"))'
    names = "|".join(command.name for command in commands[1:])
    yield f'# Completion of {program} for bash: eval "$({program} completion bash)"'
    yield f"_{program}() {{"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
    yield "    local command= word IFS=$' \\t\\n'"
    yield "    COMPREPLY=()"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield f"        case $word in {names}) command=$word; break ;; esac"
    yield "    done"
    yield '    case "$command,$before" in'
    yield from _cases(commands, offer, files)
    yield "    esac"
    yield '    case "$command,$current" in'
    for command in commands:
        yield f"        {command.name},-*) {offer(_flags(command))} ;;"
        if command.words:
            yield f"        {command.name},*) {offer(command.words)} ;;"
        elif command.takes_file:
            yield f"        {command.name},*) {files} ;;"
    yield "    esac"
    yield "}"
    yield f"complete -o filenames -F _{program} {program}"


def _zsh(program: str, commands: list[_Command]) -> Iterator[str]:
    def offer(words: Sequence[str]) -> str:
        return f"compadd -- {shlex.join(words)}"

    files = "_files"
    names = "|".join(command.name for command in commands[1:])
    yield f"#compdef {program}"
    yield f'# Completion of {program} for zsh: eval "$({program} completion zsh)"'
    yield f"_{program}() {{"
    yield "    local command word"
    yield "    local -a options"
    yield '    for word in "${(@)words[2,CURRENT-1]}"; do'
    yield f"        case $word in ({names}) command=$word; break ;; esac"
    yield "    done"
    yield '    case "$command,${words[CURRENT-1]}" in'
    yield from (line.replace("        ", "        (", 1) for line in _cases(commands, offer, files))
    yield "    esac"
    yield '    case "$command,$PREFIX" in'
    for command in commands:
        texts = [f"{flag}:{option.help}" for option in command.options for flag in option.flags]
        described = " ".join(map(shlex.quote, texts))
        yield f"        ({command.name},-*) options=({described}); _describe option options ;;"
        if command.words:
            yield f"        ({command.name},*) {offer(command.words)} ;;"
        elif command.takes_file:
            yield f"        ({command.name},*) {files} ;;"
    yield "    esac"
    yield "}"
    yield f"compdef _{program} {program}"


# -------------------------------------------------------------------------- fish


def _fish(program: str, commands: list[_Command]) -> Iterator[str]:
    yield f"# Completion of {program} for fish: {program} completion fish | source"
    yield f"complete -c {program} -f"
    names = " ".join(command.name for command in commands[1:])
    for command in commands[1:]:
        none = f"not __fish_seen_subcommand_from {names}"
        start = f"complete -c {program} -n {_fish_text(none)}"
        yield f"{start} -a {command.name} -d {_fish_text(command.help)}"
    for command in commands:
        seen = (
            f"__fish_seen_subcommand_from {command.name}"
            if command.name
            else f"not __fish_seen_subcommand_from {names}"
        )
        start = f"complete -c {program} -n {_fish_text(seen)}"
        if command.name and command.words:
            yield f"{start} -a {_fish_text(' '.join(command.words))}"
        elif command.takes_file:
            yield f"{start} -F"
        for option in command.options:
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in option.flags
            )
            yield f"{start} {flags}{_fish_value(option)} -d {_fish_text(option.help)}"


def _fish_value(option: _Option) -> str:
    """What follows an option, as arguments of `complete`."""
    if option.values is None:
        return ""
    if option.values:
        return f" -x -a {_fish_text(' '.join(option.values))}"
    return " -r -F" if option.takes_file else " -x"


def _fish_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
