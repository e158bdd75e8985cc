"""The portal beside the API: what they share, and what only people need."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from vonal.api.services import Services
from vonal.app.mail import Letters
from vonal.config import Settings
from vonal.delivery.post import Post
from vonal.domain.directory import Directory
from vonal.portal.services import Portal
from vonal.users.ceremony import Ceremonies
from vonal.users.factors import Factors
from vonal.users.guard import Guard
from vonal.users.letters import Mail
from vonal.users.oidc import Oidc
from vonal.users.passkeys import Passkeys
from vonal.users.passwords import Passwords
from vonal.users.people import People
from vonal.users.sessions import Sessions
from vonal.users.sign_in import SignIn
from vonal.users.staff import Staff

ANYWHERE = ("0.0.0.0", "::")


def portal_of(
    services: Services,
    *,
    directory: Callable[[], Directory],
    sip_listen: tuple[str, int] = ("127.0.0.1", 5060),
    mail: Mail | None = None,
    oidc: Oidc | None = None,
) -> Portal:
    """`directory` gives the whole directory in effect; `sip_listen`: where Asterisk waits for phones; `mail` sends a
    letter in the background, None: nothing does; `oidc` is the provider that people may sign in with.
    """
    sessions = Sessions(services.db)
    return Portal(
        db=services.db,
        sessions=sessions,
        people=_people(services, sessions, mail, oidc),
        webhooks=services.webhooks,
        editor=services.webhooks.editor,
        trials=services.trials,
        originator=services.originator,
        control=services.control,
        broadcast=services.broadcast,
        test_limit=services.test_limit,
        steady=services.steady,
        phones=services.phones,
        open_recording=services.open_recording,
        tenant=services.tenant,
        directory=directory,
        probes=services.probes,
        draining=services.draining,
        base_url=services.base_url,
        sip_server=_sip_server(services.base_url, sip_listen),
        secure=services.base_url.startswith("https:"),
    )


async def open_portal(
    services: Services, settings: Settings, stack: AsyncExitStack, *, directory: Callable[[], Directory]
) -> Portal:
    """The portal with what the settings name: a mail server, a single sign-on. Closed with the `stack`."""
    mail, oidc = None, None
    if settings.mail_url:
        mail = Letters(Post.of(settings.mail_url, settings.mail_from))
        stack.push_async_callback(mail.close)
    if settings.oidc_issuer:
        oidc = Oidc(
            services.db,
            issuer=settings.oidc_issuer,
            client=(settings.oidc_client_id, settings.oidc_client_secret),
            name=settings.oidc_name or urlsplit(settings.oidc_issuer).hostname or "",
            where=services.base_url,
        )
        stack.push_async_callback(oidc.close)
    made = portal_of(services, directory=directory, sip_listen=settings.sip_listen, mail=mail, oidc=oidc)
    stack.callback(made.people.sign_in.close)
    return made


def _sip_server(base_url: str, listen: tuple[str, int]) -> str:
    """Phones find us by the name that people use, unless Asterisk waits at one address only."""
    host, port = listen
    if host in ANYWHERE:
        host = urlsplit(base_url).hostname or host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _people(services: Services, sessions: Sessions, mail: Mail | None, oidc: Oidc | None) -> People:
    guard, where = Guard(services.db), services.base_url
    sign_in = SignIn(services.db, sessions, guard, mail=mail)
    factors, ceremonies = Factors(services.db, sign_in, guard, where=where, mail=mail), Ceremonies()
    return People(
        guard=guard,
        sign_in=sign_in,
        passwords=Passwords(services.db, sign_in, guard, where=where, mail=mail),
        factors=factors,
        ceremonies=ceremonies,
        passkeys=Passkeys(services.db, factors, ceremonies, where=where),
        staff=Staff(services.db, where=where, mail=mail),
        oidc=oidc,
        can_mail=mail is not None,
    )
