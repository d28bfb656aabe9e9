"""Signals become a wish to stop between blocks; errors of the system become one line."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from aqreanalysis.errors import Interrupted, OutputError
from aqreanalysis.production.resume.signals import Stop, output_errors, stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_a_wish_until_it_is_looked_at(number, code):
    with stop_on_signals() as stop:
        stop.check(Path("x.part"), "nothing")
        os.kill(os.getpid(), number)
        assert stop.event.is_set()
        with pytest.raises(Interrupted, match=r"3 of 5 blocks, kept in x\.part; run the same command again") as caught:
            stop.check(Path("x.part"), "3 of 5 blocks")
    assert caught.value.exit_code == code and Interrupted.exit_code == 130


def test_a_second_signal_does_what_it_would_have_done():
    # A shell that starts the tests in the background has them ignore SIGINT, and ignoring is what it would have done.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stop_on_signals():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    Stop().check(Path(), "")


def test_a_full_disk_and_other_errors_of_the_system_are_told_apart(tmp_path):
    with pytest.raises(OutputError, match=r"no space left for the output \(f\).*are kept in"), output_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "f")
    with pytest.raises(OutputError, match=r"cannot write the output.*Permission"), output_errors(tmp_path / "no"):
        raise PermissionError(errno.EACCES, "Permission denied", "f")
