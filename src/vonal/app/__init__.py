"""The composition root: the one place that knows everybody."""

from vonal.app.service import Role, Service, serve

__all__ = ["Role", "Service", "serve"]
