"""What this process can still have: the limits of its control groups and of its address space count."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aqreanalysis.common import memory
from aqreanalysis.common.memory import available_memory


def put_group(folder, names, limit, used):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")


V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


@pytest.mark.parametrize(
    ("own", "where", "names"),
    [
        ("0::/system.slice/run.service\n", "system.slice", V2),
        ("0::/a/b/c/d\n", "a/b", V2),
        ("0::/a/b/c/d\n", "", V2),
        ("0::/\n", "", V2),
        ("9:memory:/slurm/uid_1/job_7/step_0\n1:name=systemd:/x\n", "memory/slurm/uid_1/job_7", V1),
        ("9:cpu,memory:/a\n0::/\n", "memory/a", V1),
        ("9:memory:/outside/of/the/container\n", "memory", V1),
    ],
)
def test_the_limit_of_any_control_group_above_this_process_is_seen(own, where, names, tmp_path, monkeypatch):
    (tmp_path / "self").write_text(own)
    put_group(tmp_path / "fs" / where, names, 500_000_000, 80_000_000)
    put_group(tmp_path / "fs" / "another", V2, 1, 0)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "fs")
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "self")
    assert available_memory() == 420_000_000


def test_the_limit_of_the_address_space_is_seen():
    code = (
        "import resource, psutil; from aqreanalysis.common.memory import available_memory as a;"
        "limit = psutil.Process().memory_info().vms + 300_000_000;"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); print(a())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 300_000_000
