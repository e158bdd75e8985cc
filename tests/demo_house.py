"""The demo for tests: with a data folder and ports of its own."""

import os
from pathlib import Path

import ports
from vonal.cli.demo import place
from vonal.cli.demo.stage import Demo
from vonal.telephony.engine_install import install


def demo_in(folder: Path) -> Demo:
    """A demo that is yet to be entered; the embedded Asterisk is there."""
    environ = {
        "VONAL_DATA_DIR": str(folder),
        "VONAL_LISTEN": f"127.0.0.1:{ports.free_port()}",
        "VONAL_SIP_LISTEN": f"127.0.0.1:{ports.free_port()}",
        "VONAL_ARI_PORT": str(ports.free_port()),
    }
    settings = place.load({**os.environ, **environ})
    install(settings.engine_dir, progress=lambda _: None)
    return Demo(settings, say=print)
