"""A page's form as a browser would send it: what is filled in, ticked and chosen, in the order of the page."""

from html.parser import HTMLParser

Fields = list[tuple[str, str]]


class _Reader(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.inside = form_id, False
        self.fields: Fields = []
        self._select: list[tuple[str, bool]] | None = None
        self._name = ""
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = given.get("id") == self.form_id
        if not self.inside:
            return
        name = given.get("name", "")
        if tag == "input" and name:
            box = given.get("type") in ("checkbox", "radio")
            if not box or "checked" in given:
                self.fields.append((name, given.get("value", "on" if box else "")))
        elif tag == "select":
            self._name, self._select = name, []
        elif tag == "option" and self._select is not None:
            self._select.append((given.get("value", ""), "selected" in given))
        elif tag == "textarea":
            self._name, self._text = name, []

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select" and self._select is not None:
            chosen = [value for value, selected in self._select if selected] or [self._select[0][0]]
            self.fields.append((self._name, chosen[-1]))
            self._select = None
        elif tag == "textarea" and self._text is not None:
            self.fields.append((self._name, "".join(self._text).removeprefix("\n")))
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


def fields_of(page: str, form_id: str) -> Fields:
    """What the form with this id would send."""
    reader = _Reader(form_id)
    reader.feed(page)
    return reader.fields


def filled(fields: Fields, /, **values: str | list[str]) -> dict[str, list[str]]:
    """The fields with these values in place of what stood there."""
    sent: dict[str, list[str]] = {}
    for name, value in fields:
        sent.setdefault(name, []).append(value)
    return sent | {name: [value] if isinstance(value, str) else value for name, value in values.items()}


class _Part(HTMLParser):
    def __init__(self, attribute: str) -> None:
        super().__init__()
        self.attribute, self.depth, self.text = attribute, 0, [""]
        self.tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.depth and any(name == self.attribute for name, _ in attrs):
            self.depth, self.tag = 1, tag
        elif self.depth and tag == self.tag:
            self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        if self.depth and tag == self.tag:
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.text.append(data)


def text_of(page: str, attribute: str) -> str:
    """The text in the element that has this attribute, as a reader's browser shows it."""
    part = _Part(attribute)
    part.feed(page)
    return "".join(part.text).removeprefix("\n")
