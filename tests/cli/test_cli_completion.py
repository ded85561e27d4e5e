"""The command: its completion in shells, asked as the shells ask."""

import shutil
import subprocess

import pytest
from commands import run

from fastnn.cli import SHELLS, parser_of_all

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def script(capsys):
    """The script for a shell."""

    def script(shell):
        assert run("completion", shell) == 0
        return capsys.readouterr().out

    return script


ZSH_ASKS = r"""
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal "source $1/interactive"
zpty -r terminal start '*ready*'
zpty -w -n terminal "$2"$'\t'
while zpty -r terminal rest; do :; done
"""

ZSH_IS_ASKED = r"""
PROMPT=
autoload -Uz compinit
compinit -u -D
bindkey '^I' complete-word
compadd () {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    local -a matches
    builtin compadd -A matches "$@"
    print -rl -- $matches >> FOLDER/offered
}
comppostfuncs=(exit)
source FOLDER/script
print rea""dy
"""
"""A terminal of zsh, in which the built-in command that adds matches also writes them to a file."""


def asked_of_bash(program, folder, words):
    listed = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _fastnn; "
    show = 'printf "%s\n" "${COMPREPLY[@]}"'
    text = (folder / "script").read_text() + ask + show
    return [program, "--norc", "-c", text]


def asked_of_zsh(program, folder, words):
    text = ZSH_IS_ASKED.replace("FOLDER", str(folder))
    (folder / "interactive").write_text(text)
    (folder / "offered").write_text("")
    show = f"cat {folder}/offered"
    return [program, "-f", "-c", ZSH_ASKS + show, "zsh", folder, " ".join(words)]


def asked_of_fish(program, folder, words):
    ask = f"source {folder}/script; complete -C '{' '.join(words)}'"
    return [program, "--no-config", "-c", ask]


ASKED = {"bash": asked_of_bash, "zsh": asked_of_zsh, "fish": asked_of_fish}


@pytest.fixture(params=SHELLS)
def completed(request, script, tmp_path_factory):
    """What a shell offers for the last of some words, in alphabetical order."""
    shell = request.param
    program = shutil.which(shell) or pytest.skip(f"no {shell} here")
    folder = tmp_path_factory.mktemp("completion")
    (folder / "script").write_text(script(shell))

    def completed(*words):
        done = subprocess.run(
            ASKED[shell](program, folder, words),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert not done.stderr
        # fish writes a description behind a tab
        return sorted({line.split("\t")[0].strip() for line in done.stdout.splitlines()} - {""})

    return completed


def flags_of(command):
    actions = parser_of_all()._subparsers._group_actions[0].choices[command]._actions
    return {flag for action in actions for flag in action.option_strings}


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "info", "bench"])
def test_all_options_of_a_command_are_offered(command, completed):
    assert set(completed("fastnn", command, "-")) == flags_of(command)


def test_commands_come_first(completed):
    assert {"train", "predict", "completion"} <= set(completed("fastnn", ""))
    assert completed("fastnn", "tr") == ["train"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("train", "x.csv", "--preset", ""), ["fast", "balanced", "best", "network"]),
        (("train", "--task", "re"), ["regression"]),
        (("train", "--epochs", ""), []),
        (("train", "--target", "data"), []),
        (("completion", ""), list(SHELLS)),
    ],
)
def test_values_of_options_and_words_are_offered(words, offered, completed):
    assert completed("fastnn", *words) == sorted(offered)


@pytest.mark.parametrize("words", [("train",), ("train", "--output"), ("predict", "m.fastnn")])
def test_files_are_offered(words, completed, tmp_path):
    (tmp_path / "data.csv").touch()
    assert completed("fastnn", *words, "da") == ["data.csv"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_scripts(shell, script, tmp_path):
    program = shutil.which(shell) or pytest.skip(f"no {shell} here")
    path = tmp_path / "script"
    path.write_text(script(shell))
    subprocess.run([program, "-n", path], check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_in_every_script(shell, script):
    text = script(shell)
    for flag in flags_of("train") - {"-h"}:
        assert (f"-l {flag[2:]}" if shell == "fish" else flag) in text
