"""The JSON edge. `create_app` makes the ASGI application out of what `Services` holds."""

from vonal.api.app import create_app
from vonal.api.services import Services

__all__ = ["Services", "create_app"]
