"""The table of the portal's examples is whole: every walk relies on it."""

from portal_examples import EXAMPLES
from vonal.portal.app import ROUTES


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    assert sorted(f"{one.method} {one.path}" for one in ROUTES) == sorted(EXAMPLES)
