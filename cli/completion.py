"""``aqreanalysis completion install``: the shell completes commands, options, grids, configs, formats and keys."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from aqreanalysis.cli import options
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError, OutputError

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "aqreanalysis", "_AQREANALYSIS_COMPLETE"
#: What stands around the lines in a shell's own file, so that they are put there once and can be taken away.
BEGIN, END = "# >>> aqreanalysis completion >>>", "# <<< aqreanalysis completion <<<"


#: What click's scripts lack: no blank after a key of --set, whose value follows; and of names joined by commas all.
_VALUES_FOLLOW = {
    "bash": {
        "    return 0\n": "    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *= ]] && compopt -o nospace\n    return 0\n"
    },
    "zsh": {
        "        compadd -U -V unsorted -a completions\n": "        if [[ ${completions[1]} == *= ]]; then\n"
        "            compadd -S '' -U -V unsorted -a completions\n        else\n"
        "            compadd -U -V unsorted -a completions\n        fi\n"
    },
    "fish": {'string split "," $completion': 'string split -m 1 "," $completion'},
}


@click.group()
def completion() -> None:
    """Let the shell complete commands, options and their values."""


def _shell_argument(command: options.Command) -> options.Command:
    return click.argument("shell", required=False, type=click.Choice(SHELLS))(command)


@completion.command("install")
@_shell_argument
def install_command(shell: str | None) -> None:
    """Install it for bash, zsh or fish.  [default: the shell in use]

    Writes the script into your home, and for bash and zsh the lines into .bashrc or .zshrc that read it.
    """
    shell = shell or _own_shell()
    script, startup = _places(shell)
    _write(script, _source(shell))
    if startup is not None:
        _write(startup, _without_lines(startup) + _lines(shell, script))
    say(f"{script}{f', read by {startup}' if startup else ''}: open a new {shell} and press the tabulator")


@completion.command("remove")
@_shell_argument
def remove_command(shell: str | None) -> None:
    """Remove what install wrote."""
    shell = shell or _own_shell()
    script, startup = _places(shell)
    script.unlink(missing_ok=True)
    if startup is not None and startup.exists():
        _write(startup, _without_lines(startup))
    say(f"removed: {script}{f' and its lines in {startup}' if startup else ''}")


@completion.command("show")
@_shell_argument
def show_command(shell: str | None) -> None:
    """Print the script, for those who keep such files elsewhere."""
    click.echo(_source(shell or _own_shell()))


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise ConfigError(f"the shell in use ({name or 'unknown'}) is none of {', '.join(SHELLS)}: name one of them")
    return name


def _source(shell: str) -> str:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(f"click knows no {shell}")
    # Not its source(): that of bash asks the bash that is found first for its version, which need not be the user's.
    complete = kind(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE)
    source = complete.source_template
    for click_has, ours in _VALUES_FOLLOW[shell].items():
        if click_has not in source:
            raise AssertionError(f"click's script for {shell} has changed: {click_has!r} is not in it")
        source = source.replace(click_has, ours)
    return source % complete.source_vars()


def _places(shell: str) -> tuple[Path, Path | None]:
    """Return where the script goes, and the shell's own file that is to read it; None where it finds it by itself."""
    home = Path.home()
    if shell == "fish":
        return _base("XDG_CONFIG_HOME", home / ".config") / "fish" / "completions" / f"{PROGRAM}.fish", None
    startup = (Path(os.environ.get("ZDOTDIR") or home) / ".zshrc") if shell == "zsh" else home / ".bashrc"
    return _base("XDG_DATA_HOME", home / ".local" / "share") / PROGRAM / f"completion.{shell}", startup


def _base(variable: str, default: Path) -> Path:
    given = os.environ.get(variable)
    return Path(given) if given else default


def _lines(shell: str, script: Path) -> str:
    # zsh needs its completion switched on, which most, not all, have done by then.
    ready = ["(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"] if shell == "zsh" else []
    return "\n".join([BEGIN, *ready, f'[ -f "{script}" ] && . "{script}"', END, ""])


def _without_lines(startup: Path) -> str:
    """Return the text of a shell's own file without the lines of an earlier install."""
    text = startup.read_text(encoding="utf-8") if startup.exists() else ""
    head, begin, rest = text.partition(f"{BEGIN}\n")
    if begin:
        text = head + rest.partition(f"{END}\n")[2]
    return text if not text or text.endswith("\n") else f"{text}\n"


def _write(path: Path, text: str) -> None:
    from aqreanalysis.common.files import replacing

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A shell's own file is the user's, whole or not at all; it may be a link.
        with replacing(path.resolve()) as part:
            part.write_text(text, encoding="utf-8")
            if path.exists():
                shutil.copymode(path, part)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
