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


@pytest.fixture
def completed(script):
    """What bash offers for the last of some words."""
    bash = shutil.which("bash") or pytest.skip("no bash here")
    lines = script("bash")

    def completed(*words):
        listed = " ".join(f"'{word}'" for word in words)
        ask = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _fastnn; "
        show = 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            [bash, "--norc", "-c", lines + ask + show], capture_output=True, text=True, check=True
        )
        assert not done.stderr
        return done.stdout.split()

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
    assert completed("fastnn", *words) == offered


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
