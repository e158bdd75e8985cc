"""The words of the letters about webhooks, in each of the tenants' languages."""

from typing import Literal

from msgspec import Struct

from vonal.store.notices import NoticeType


class Words(Struct, frozen=True, kw_only=True):
    """One language. `titles` and `texts` by the notice's type; `errors` and `checks` by class of error, or topic."""

    time: str
    greeting: str
    several: str
    titles: dict[NoticeType, str]
    texts: dict[NoticeType, str]
    answered: str
    failed: str
    more_than: str
    errors: dict[str, str]
    checks: dict[str, str]
    check_all: str
    ending: str


ENGLISH = Words(
    time="%Y-%m-%d %H:%M",
    greeting="This is about the webhooks of {tenant}: the addresses to which Vonal sends your calls' records.",
    several="{count} notices about webhooks",
    titles={
        "webhook.down": "Webhook {webhook} does not answer as it should",
        "webhook.up": "Webhook {webhook} works again",
        "webhook.disabled": "Webhook {webhook} is disabled",
    },
    texts={
        "webhook.down": "Since {at} the webhook {webhook} has not been taking what we send.{reason}\n\n"
        "Records waiting: {records}. Nothing is lost: we try again by ourselves, at most a minute apart, and when it "
        "works again everything is sent in order. You need not restart anything here. What has waited for 72 hours is "
        "set aside, and can be sent again for 30 days.\n\n"
        "Please check: {check}",
        "webhook.up": "Since {at} the webhook {webhook} has been taking our requests again. Records waiting: "
        "{records}; they are being sent, in order. Nothing is to be done.",
        "webhook.disabled": "At {at} the webhook {webhook} answered 410 (Gone): its owner wants no more requests. So "
        "nothing more is sent there. Records that wait, and those to come, are kept, and are sent when the webhook is "
        "changed.\n\n"
        "If this was not meant so, correct the address, or make the CRM answer with another status and then change the "
        "webhook in any way.",
    },
    answered="The last answer was the status {status}.",
    failed="The last attempt failed: {error}.",
    more_than="more than {count}",
    errors={
        "timeout": "it did not answer in time",
        "not_connected": "no connection could be made",
        "name_not_found": "the name of its host is not known",
        "tls_failed": "no secure connection could be made",
        "tls_not_trusted": "its certificate is not valid",
        "address_refused": "its address lies in a network that may not be reached",
        "bad_answer": "what it answered is no HTTP",
    },
    checks={
        "timeout": "does the CRM answer quickly? It should answer first, and do its work afterwards.",
        "not_connected": "is the CRM running, and does its firewall let our requests through?",
        "name_not_found": "is the host in the webhook's address spelled rightly, and does its DNS entry exist?",
        "tls_failed": "does the CRM speak TLS 1.2 or newer on that port?",
        "tls_not_trusted": "has the CRM's certificate run out, or was it made for another name?",
        "address_refused": "is the address a public one? Private networks must be allowed by the operator.",
        "credentials": "has the password or key of the webhook been changed in the CRM?",
        "address": "has the address in the CRM changed? Redirects are not followed.",
        "crm": "what does the CRM's own log say about these requests?",
    },
    check_all="does the CRM run, can it be reached, and what does its log say?",
    ending="All notices: {where}/api/v1/notices\n\nYou receive this because your address stands under `notify` of the "
    "tenant {tenant}.",
)

HUNGARIAN = Words(
    time="%Y. %m. %d. %H:%M",
    greeting="{tenant}: az alábbi üzenet a webhookokról szól, vagyis azokról a címekről, ahová a Vonal a hívások "
    "adatait küldi.",
    several="{count} értesítés a webhookokról",
    titles={
        "webhook.down": "Nem válaszol megfelelően a webhook: {webhook}",
        "webhook.up": "Ismét működik a webhook: {webhook}",
        "webhook.disabled": "Ki van kapcsolva a webhook: {webhook}",
    },
    texts={
        "webhook.down": "{webhook}: ez a webhook {at} óta nem veszi át, amit küldünk.{reason}\n\n"
        "Várakozó hívásadatok száma: {records}. Semmi sem vész el: magunktól újra próbálkozunk, legfeljebb percenként, "
        "és amint ismét működik, mindent sorrendben elküldünk. Itt semmit sem kell újraindítani. Ami 72 órája vár, azt "
        "félretesszük, és 30 napig újra elküldhető.\n\n"
        "Kérjük, ellenőrizzék: {check}",
        "webhook.up": "{webhook}: ez a webhook {at} óta ismét fogadja a kéréseinket. Várakozó hívásadatok száma: "
        "{records}; ezeket most sorrendben elküldjük. Nincs teendő.",
        "webhook.disabled": "{webhook}: ez a webhook {at} időpontban 410-es (Gone) állapotkóddal válaszolt, vagyis a "
        "tulajdonosa nem kér több adatot. Ezért ide többet nem küldünk. A várakozó és az ezután keletkező "
        "hívásadatokat megőrizzük, és elküldjük, ha a webhookot módosítják.\n\n"
        "Ha ez nem volt szándékos, javítsák ki a címet, vagy állítsák be, hogy a CRM más állapotkóddal válaszoljon, "
        "utána pedig módosítsák a webhookot.",
    },
    answered="Az utolsó válasz állapotkódja: {status}.",
    failed="Az utolsó kísérlet sikertelen volt: {error}.",
    more_than="több mint {count}",
    errors={
        "timeout": "nem érkezett időben válasz",
        "not_connected": "nem jött létre kapcsolat",
        "name_not_found": "a kiszolgáló neve nem található",
        "tls_failed": "nem jött létre biztonságos kapcsolat",
        "tls_not_trusted": "a tanúsítvány nem érvényes",
        "address_refused": "a cím olyan hálózatban van, amely nem érhető el",
        "bad_answer": "a válasz nem HTTP szerinti",
    },
    checks={
        "timeout": "elég gyorsan válaszol-e a CRM? Előbb válaszoljon, és csak utána dolgozza fel az adatokat.",
        "not_connected": "fut-e a CRM, és átengedi-e a tűzfala a kéréseinket?",
        "name_not_found": "helyesen van-e írva a kiszolgáló neve, és létezik-e a DNS-bejegyzése?",
        "tls_failed": "beszél-e a CRM ezen a porton TLS 1.2-t vagy újabbat?",
        "tls_not_trusted": "nem járt-e le a CRM tanúsítványa, és a megfelelő névre szól-e?",
        "address_refused": "nyilvános-e a cím? A belső hálózatokat az üzemeltetőnek kell engedélyeznie.",
        "credentials": "nem változott-e meg a webhook jelszava vagy kulcsa a CRM-ben?",
        "address": "nem változott-e meg a cím a CRM-ben? Az átirányításokat nem követjük.",
        "crm": "mit ír a CRM saját naplója ezekről a kérésekről?",
    },
    check_all="fut-e a CRM, elérhető-e, és mit ír a naplója?",
    ending="Minden értesítés: {where}/api/v1/notices\n\nEzt a levelet azért kapják, mert ez a cím szerepel a {tenant} "
    "azonosítójú cég `notify` listájában.",
)

WORDS: dict[Literal["hu", "en"], Words] = {"en": ENGLISH, "hu": HUNGARIAN}
