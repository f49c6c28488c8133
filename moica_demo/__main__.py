"""``python -m moica_demo [--auto]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from moica_demo.errors import DemoError
from moica_demo.install import ensure_installed
from moica_demo.programs import PEOPLE, Running, running
from moica_demo.settings import DemoSettings, free_ports, read_settings

_TOUR_TIME_LIMIT = 30


def _raise_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit status 0 only if everything went as it should."""
    parser = argparse.ArgumentParser(prog="python -m moica_demo", description=__doc__)
    parser.add_argument("--auto", action="store_true", help="play the tour, then stop")
    parser.add_argument("--install-only", choices=("demo", "dev"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        if arguments.install_only:
            ensure_installed(arguments.install_only)
            return 0
        ensure_installed()
        return _auto() if arguments.auto else _serve()
    except DemoError as e:
        print(f"demo: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: stopped", flush=True)
        return 130 if arguments.auto or arguments.install_only else 0


def _serve() -> int:
    settings = read_settings(os.environ)
    started = time.monotonic()
    print(f"starting (state in {settings.directory}) ...", flush=True)
    with running(settings) as demo:
        _print_welcome(demo, time.monotonic() - started)
        while True:
            demo.alive()
            time.sleep(0.5)


def _print_welcome(demo: Running, seconds: float) -> None:
    settings = demo.settings
    user, name, id_number = PEOPLE[0]
    lines = [
        "",
        f"ready after {seconds:.1f} s. NOT FOR PRODUCTION: everything here is simulated.",
        "",
        f"  公文系統 document system   {settings.document_system_url}",
        f"  手機     phone of {name}     {settings.simulator_url}/phone/{demo.phones[user]}",
        f"  模擬器   simulator         {settings.simulator_url}",
        f"  閘道     gateway           {settings.gateway_url}",
        "",
        f"  sign in as {user} ({name}), password demo-115; ID number 身分證字號 {id_number}",
        "  1. 基本資料 → 使用者憑證登記 → 新增 → 行動自然人憑證 → 申請; 確認 on the phone's page",
        "  2. 儀錶板 → 1153000165 → 蓋章 → 送出 → 儲存並送出; 確認 on the phone's page",
        "  the phone: tap what was pushed (or 解鎖), 確認, 按壓指紋感應器, 完成",
        f"  why a checksum is wrong: {settings.simulator_url}/platform",
        "",
        f"  keys for scripts: {settings.env_file}",
        "  Ctrl-C stops; the next start goes on from here.",
    ]
    print("\n".join(lines), flush=True)


def _auto() -> int:
    from moica_demo.tour import play

    gateway, simulator, document_system = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="moica-demo-") as folder:
        settings = DemoSettings(
            directory=Path(folder),
            gateway_port=gateway,
            simulator_port=simulator,
            document_system_port=document_system,
        )
        with running(replace(settings, sign_time_limit=_TOUR_TIME_LIMIT)) as demo:
            return play(demo)


if __name__ == "__main__":
    sys.exit(main())
