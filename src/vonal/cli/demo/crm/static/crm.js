// Everything shown here comes from other people: it goes into the page as text, never as HTML.

const byId = (id) => document.getElementById(id);
const state = { customers: new Map(), agents: [], softphone: null, calls: new Map() };
const elements = new Map(); // of calls: "card …" and "row …"
const sound = new Audio();
let playing = null; // the row whose recording `sound` holds
let dragging = false;

const OUTCOMES = {
  answered: ["answered", "good"],
  no_answer: ["no answer", "warm"],
  busy: ["busy", "warm"],
  cancelled: ["cancelled", "warm"],
  rejected: ["declined", "bad"],
  failed: ["failed", "bad"],
};
const ARROWS = { inbound: "↙", outbound: "↗", internal: "↔" };
const TONES = ["#1f6f5c", "#8a5a2b", "#6a4c93", "#2f6690", "#a23b52", "#5b7553"];

// --- what the server tells -------------------------------------------------------------------------------------------

const events = new EventSource("/events");
events.addEventListener("all", ({ data }) => {
  const all = JSON.parse(data);
  state.customers = new Map(all.customers.map((one) => [one.id, one]));
  state.softphone = all.softphone;
  state.calls = new Map(all.calls.map((one) => [one.id, one]));
  drawCustomers();
  drawAgents(all.agents);
  drawSoftphone();
  for (const [key, element] of elements) {
    if (!state.calls.has(key.split(" ")[1])) remove(key, element);
  }
  [...state.calls.values()].reverse().forEach(drawCall);
  trouble("");
});
events.addEventListener("agents", ({ data }) => drawAgents(JSON.parse(data)));
events.addEventListener("call", ({ data }) => {
  const call = JSON.parse(data);
  state.calls.set(call.id, call);
  drawCall(call);
});
events.addEventListener("error", () => trouble("The demo does not answer. Is it still running?"));

// --- what is pressed -------------------------------------------------------------------------------------------------

async function press(address, body) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    trouble(answer.ok ? "" : said.detail);
    return answer.ok ? said : null;
  } catch {
    trouble("The demo does not answer. Is it still running?");
    return null;
  }
}

const agent = () => byId("agent").value || "101";
const call = (number) => press("/call", { extension: agent(), number });

byId("dial").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await call(byId("number").value.trim())) byId("dial").reset();
});
byId("agent").addEventListener("change", () => drawAgents(state.agents));

function trouble(text) {
  byId("trouble").textContent = text ?? "";
  byId("trouble").hidden = !text;
}

// --- customers and agents --------------------------------------------------------------------------------------------

function drawCustomers() {
  byId("customers").replaceChildren(...[...state.customers.values()].map((customer) => {
    const element = fromTemplate("customer-template");
    face(element, customer.name);
    text(element, ".name", customer.name);
    text(element, ".company", customer.company);
    text(element, ".note", customer.note);
    const number = element.querySelector(".number");
    number.textContent = spaced(customer.number);
    number.title = `Call ${customer.name}`;
    number.addEventListener("click", () => call(customer.number));
    const callMe = element.querySelector(".call-me");
    callMe.title = `${customer.name} calls you`;
    callMe.addEventListener("click", () => press("/call-me", { customer: customer.id, extension: agent() }));
    return element;
  }));
}

function drawAgents(agents) {
  state.agents = agents;
  const select = byId("agent");
  const chosen = select.value || "101";
  const options = agents.map((one) => new Option(`${one.name} · ${one.number}`, one.number, false, one.number === chosen));
  if (select.options.length !== options.length) select.replaceChildren(...options);
  const mine = agents.find((one) => one.number === select.value);
  const words = { idle: ["phone is ready", "good"], in_call: ["on the phone", "warm"], offline: ["phone is offline", "bad"] };
  const [word, tone] = words[mine?.state] ?? ["…", ""];
  byId("phone-state").textContent = word;
  byId("phone-state").className = `pill ${tone}`;
}

function drawSoftphone() {
  const { servers, user, password, extension } = state.softphone;
  const account = { Server: servers.join("  or  "), User: user, Password: password, Extension: extension };
  byId("account").replaceChildren(...Object.entries(account).flatMap(([name, value]) => {
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    meaning.textContent = value;
    return [term, meaning];
  }));
}

// --- calls -----------------------------------------------------------------------------------------------------------

function drawCall(one) {
  const [card, row] = [`card ${one.id}`, `row ${one.id}`];
  if (one.phase === "ended") {
    if (elements.has(card)) remove(card, elements.get(card));
    drawRow(kept(row, "row-template", (made) => {
      const later = [...byId("log").children].find((other) => other.dataset.started < one.started_at);
      byId("log").insertBefore(made, later ?? null);
      made.dataset.started = one.started_at;
      wirePlayer(made, one.id);
    }), one);
  } else {
    drawCard(kept(card, "card-template", (made) => {
      byId("now").prepend(made);
      made.querySelector(".hang-up").addEventListener("click", (event) => {
        event.target.disabled = true;
        press("/hang-up", { id: one.id }).then((done) => { event.target.disabled = Boolean(done); });
      });
    }), one);
  }
  byId("nothing-now").hidden = byId("now").childElementCount > 0;
  byId("nothing-logged").hidden = byId("log").childElementCount > 0;
}

function kept(key, template, place) {
  if (!elements.has(key)) {
    const made = fromTemplate(template);
    made.dataset.call = key.split(" ")[1];
    elements.set(key, made);
    place(made);
  }
  return elements.get(key);
}

function remove(key, element) {
  elements.delete(key);
  element.remove();
}

function drawCard(element, one) {
  const customer = state.customers.get(one.customer);
  face(element, nameOf(one));
  text(element, ".name", nameOf(one));
  text(element, ".company", customer ? `${customer.company} · ${spaced(one.number)}` : spaced(one.number));
  text(element, ".note", customer?.note ?? "");
  text(element, ".state", stateOf(one));
  element.classList.toggle("ringing", one.phase !== "talking");
  element.dataset.phase = one.phase;
  element.dataset.direction = one.direction;
  tick(element, one);
}

function stateOf(one) {
  const who = one.agent_name ?? one.agent;
  if (one.phase === "agent") return who ? `${who}'s phone is ringing` : "The phone is ringing";
  if (one.phase === "talking") return who ? `Talking with ${who}` : "Talking";
  if (one.direction === "inbound") return "Incoming call";
  return "Ringing";
}

function tick(element, one) {
  const from = Date.parse(one.answered_at ?? one.started_at);
  text(element, ".timer", clock((Date.now() - from) / 1000));
}

setInterval(() => {
  for (const element of byId("now").children) tick(element, state.calls.get(element.dataset.call));
}, 500);

function drawRow(element, one) {
  const missed = one.direction === "inbound" && one.outcome !== "answered";
  const arrow = element.querySelector(".arrow");
  arrow.textContent = ARROWS[one.direction];
  arrow.classList.toggle("missed", missed);
  text(element, ".name", nameOf(one));
  const who = one.agent_name ?? one.agent;
  text(element, ".detail", [spaced(one.number), who].filter(Boolean).join(" · "));
  const [word, tone] = missed ? ["missed", "bad"] : OUTCOMES[one.outcome] ?? ["over", ""];
  const outcome = element.querySelector(".outcome");
  outcome.textContent = word;
  outcome.className = `outcome pill ${tone}`;
  const when = new Date(one.started_at);
  text(element, ".when", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  element.querySelector(".when").title = when.toLocaleString();
  element.querySelector(".player").hidden = one.recording?.state !== "ready";
  if (playing !== element) drawPlayer(element, 0, one.recording?.duration_s ?? 0, true);
}

// --- the recording's player ------------------------------------------------------------------------------------------

function wirePlayer(element, id) {
  element.querySelector(".play").addEventListener("click", () => {
    if (playing === element && !sound.paused) {
      sound.pause();
      return;
    }
    if (playing !== element) load(element, id);
    sound.play();
  });
  const at = element.querySelector(".at");
  at.addEventListener("input", () => {
    dragging = true;
    if (playing !== element) load(element, id);
  });
  at.addEventListener("change", () => {
    dragging = false;
    sound.currentTime = at.value * lengthOf(id);
  });
}

function load(element, id) {
  const before = playing;
  playing = element;
  if (before) drawPlayer(before, 0, lengthOf(before.dataset.call), true);
  sound.src = `/sound/${encodeURIComponent(state.calls.get(id).recording.id)}`;
}

function lengthOf(id) {
  return state.calls.get(id)?.recording?.duration_s ?? 0;
}

for (const name of ["play", "pause", "ended", "timeupdate"]) {
  sound.addEventListener(name, () => {
    if (!playing) return;
    const length = Number.isFinite(sound.duration) ? sound.duration : lengthOf(playing.dataset.call);
    drawPlayer(playing, sound.ended ? 0 : sound.currentTime, length, sound.paused);
  });
}
sound.addEventListener("error", () => trouble("The recording cannot be played."));

function drawPlayer(element, seconds, length, paused) {
  const button = element.querySelector(".play");
  button.textContent = paused ? "▶" : "❚❚";
  button.setAttribute("aria-label", paused ? "Play the recording" : "Pause");
  if (!dragging) element.querySelector(".at").value = length ? seconds / length : 0;
  text(element, ".length", clock(seconds || length));
}

// --- small things ----------------------------------------------------------------------------------------------------

function fromTemplate(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

function text(element, selector, value) {
  element.querySelector(selector).textContent = value;
}

function nameOf(one) {
  if (one.anonymous) return "Anonymous";
  return state.customers.get(one.customer)?.name || one.name || spaced(one.number) || "Unknown";
}

function face(element, name) {
  const initials = name.split(/\s+/).map((word) => [...word][0]).filter((letter) => /\p{L}/u.test(letter ?? ""));
  const target = element.querySelector(".face");
  target.textContent = initials.slice(0, 2).join("") || "?";
  target.style.setProperty("--tone", TONES[[...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % TONES.length]);
}

function spaced(number) {
  const parts = /^(\+36)(1|\d\d)(\d{3})(\d{3,4})$/.exec(number ?? "") ?? /^(\+43)(1)(\d{3})(\d{4})$/.exec(number ?? "");
  return parts ? parts.slice(1).join(" ") : number ?? "";
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
