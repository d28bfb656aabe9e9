"""Every error is one line on stderr and an exit status; a traceback only where it was asked for."""

from __future__ import annotations

import errno
import os
import signal

import click
import pytest
from click.testing import CliRunner, Result

from aqreanalysis.cli.errors import TRACEBACK_VARIABLE, Commands, error_boundary
from aqreanalysis.errors import ConfigError, Interrupted


def run(raised: BaseException, **environment: str | None) -> Result:
    """Return what the command line makes of a command that raises `raised`."""

    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def work() -> None:
        raise raised

    return CliRunner().invoke(group, ["work"], env={TRACEBACK_VARIABLE: None, **environment})


def test_a_users_error_is_one_line_and_exit_status_2() -> None:
    result = run(ConfigError("unknown key 'epoch';\n  did you mean 'epochs'?"))
    assert result.exit_code == 2
    assert result.stderr == "Error: unknown key 'epoch'; did you mean 'epochs'?\n"
    assert result.stdout == ""


def test_an_interrupted_run_keeps_its_message_and_exits_130() -> None:
    result = run(Interrupted("stopped after block 3; the same command goes on"))
    assert (result.exit_code, result.stderr) == (130, "Error: stopped after block 3; the same command goes on\n")


def test_ctrl_c_exits_130_with_one_line() -> None:
    result = run(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "Error: stopped\n")


def test_sigterm_exits_143_and_the_old_handler_is_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    result = CliRunner().invoke(group, ["work"])
    assert (result.exit_code, result.stderr) == (143, "Error: terminated\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_that_the_core_words_as_interrupted_still_exits_143() -> None:
    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise Interrupted("stopped after block 3") from None

    result = CliRunner().invoke(group, ["work"])
    assert (result.exit_code, result.stderr) == (143, "Error: stopped after block 3\n")


def test_an_unexpected_error_is_one_line_that_says_how_to_get_the_traceback() -> None:
    result = run(ZeroDivisionError("division\nby zero"))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in result.stderr
    assert f"{TRACEBACK_VARIABLE}=1" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_traceback_is_shown_where_it_was_asked_for() -> None:
    result = run(ZeroDivisionError("division by zero"), **{TRACEBACK_VARIABLE: "1"})
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: unexpected ZeroDivisionError")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_and_a_forbidden_folder_are_for_the_user_to_mend(number: int) -> None:
    result = run(OSError(number, os.strerror(number), "outputs/cube.nc"))
    assert (result.exit_code, result.stderr) == (2, f"Error: {os.strerror(number)}: outputs/cube.nc\n")


def test_a_usage_error_is_one_line_that_names_the_help() -> None:
    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    @click.option("--out", required=True)
    def work(out: str) -> None:
        pass

    result = CliRunner().invoke(group, ["work"], prog_name="aqreanalysis")
    assert result.exit_code == 2
    assert result.stderr == "Error: Missing option '--out'. See 'aqreanalysis work --help'.\n"


def test_a_command_that_ends_well_exits_0() -> None:
    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def work() -> None:
        click.echo("done")

    result = CliRunner().invoke(group, ["work"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "done\n", "")


def test_no_control_character_of_a_strangers_file_reaches_the_terminal() -> None:
    result = run(ConfigError("column '\x1b]0;owned\x07\x9b31m\u202egnp' is unknown"))
    assert result.stderr == "Error: column '\\x1b]0;owned\\x07\\x9b31m\\u202egnp' is unknown\n"


def test_a_file_that_grew_too_large_is_the_users_to_mend() -> None:
    result = run(OSError(errno.EFBIG, "File too large", "x.nc"))
    assert (result.exit_code, result.stderr) == (2, "Error: File too large: x.nc\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("16 GB"),
        OSError("libeccodes.so: failed to map segment from shared object"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes"),
        RuntimeError("could not create a primitive"),
    ],
)
def test_too_little_memory_is_the_users_to_mend_whoever_says_it(error: Exception) -> None:
    with pytest.raises(SystemExit) as leave, error_boundary():
        raise error
    assert leave.value.code == 2
