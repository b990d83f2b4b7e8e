"use strict";

// Text from the server goes into the page by textContent alone, so that none of it is ever HTML.

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((over) => setTimeout(over, ms));

// ---- How the layers stand

// What `path`, such as "timeout.limit", leads to.
const at = (status, path) => path.split(".").reduce((part, name) => part?.[name], status);

function shown(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : String(value);
}

function show(cell, value) {
  const text = shown(value);
  const before = cell.textContent;
  if (before === text) return;
  cell.textContent = text;
  if (cell.classList.contains("state")) cell.dataset.state = text;
  if (before === "–" || "calm" in cell.dataset) return;
  cell.classList.remove("changed");
  // The animation begins anew only if the style was computed without it.
  void cell.offsetWidth;
  cell.classList.add("changed");
}

function showChecks(health) {
  const checks = [health.liveness, health.readiness, health.startup].flatMap((probe) => probe.checks);
  const lines = checks.map(({ name, status, critical, since, detail }) => {
    const line = document.createElement("li");
    const rest = [`for ${Math.floor(since)} s`, ...(critical ? ["critical"] : []), ...(detail ? [detail] : [])];
    line.textContent = `${name}: ${status} ${rest.join(", ")}`;
    return line;
  });
  byId("checks").replaceChildren(...lines);
}

function showStatus(status) {
  for (const cell of document.querySelectorAll("[data-show]")) show(cell, at(status, cell.dataset.show));
  showChecks(status.health);
  const quotas = status.limit_rate.quotas.map(({ name, policy }) => `${policy} (${name})`);
  show(byId("quotas"), quotas.join(" and "));
}

// Only what has changed is said anew to who listens.
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

async function refresh() {
  let said;
  try {
    const response = await fetch("/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const answer = await response.json();
    if (response.ok) {
      showStatus(answer);
      said = "Live: the numbers are refreshed each second.";
    } else {
      said = `No live numbers: ${answer.title}. ${answer.detail}`;
    }
    byId("standing").classList.toggle("stale", !response.ok);
  } catch {
    byId("standing").classList.add("stale");
    said = "The server does not answer. The numbers are the last ones known; still trying, each second.";
  }
  say("link", said);
}

async function follow() {
  for (;;) {
    await refresh();
    await pause(1000);
  }
}

// ---- What came back

let answers = [];

function row(cells) {
  const tr = document.createElement("tr");
  for (const text of cells) {
    const td = document.createElement("td");
    td.textContent = text;
    tr.append(td);
  }
  byId("answers").append(tr);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// What a body says, in a line: a problem by its title and detail, the upstream's answer by its attempts.
function words(body, text) {
  if (body?.title) return `${body.title}: ${body.detail}`;
  if (body?.attempts) {
    const attempts = `${body.attempts} attempt${body.attempts === 1 ? "" : "s"}`;
    return body.answer?.detail ? `${attempts}; ${body.answer.detail}` : attempts;
  }
  if (body?.next) return `${body.sampler}; ${body.next}`;
  if (body?.state) return `${body.state}, force: ${body.force}`;
  const line = text.trim().replaceAll("\n", ", ");
  return line.length > 160 ? `${line.slice(0, 160)}…` : line;
}

// Sends it and shows what comes back, which is also returned.
async function send(method, path, { headers = {}, body, scene = false } = {}) {
  const asked = [method, path, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), body];
  const request = asked.filter((part) => part && part !== "content-type: application/json").join(" ");
  const began = performance.now();
  const answer = { scene, status: 0, type: "", words: "The server does not answer." };
  try {
    // Else a browser sends no two requests for the same at once.
    const response = await fetch(path, { method, headers, body, cache: "no-store" });
    answer.status = response.status;
    answer.words = "It was cut off in the middle of its body.";
    const text = await response.text();
    const problem = parsed(text);
    answer.type = problem?.type ?? "";
    answer.title = problem?.title;
    answer.words = words(problem, text);
    answer.wait = response.headers.get("retry-after");
    if (answer.wait) answer.words += ` Retry-After: ${answer.wait} s.`;
  } catch {
    answer.title = answer.status ? "cut off" : "no answer";
  }
  const took = `${Math.round(performance.now() - began)} ms`;
  row([request, answer.status || "none", answer.words, took]);
  const box = byId("answers").closest(".answers");
  box.scrollTop = box.scrollHeight;
  answers.push(answer);
  // Nobody waits for it.
  refresh();
  return answer;
}

const get = (path, headers) => send("GET", path, { headers });
const tell = (method, path, value) => {
  const headers = { "content-type": "application/json" };
  return send(method, path, { headers, body: JSON.stringify(value), scene: true });
};
const limits = (value) => tell("PUT", "/demo/limits", value);
const mode = (value) => tell("PUT", "/upstream/mode", value);
const force = (value) => tell("POST", "/breakers/upstream", { force: value });
const call = () => get("/upstream");

async function times(many, once) {
  for (let n = 0; n < many; n += 1) await once();
}

// ---- What the buttons do

const OPEN = "urn:palisade:circuit-open";

// While the upstream behaves like this, with the breaker out of the way, whatever was pressed before.
async function misbehaving(how, play) {
  await force("closed");
  await mode(how);
  await play();
  await mode({});
  // Else it would remember, and open at the next failure.
  await force("reset");
}

const actions = {
  // As many at once as leave a browser, which opens six connections over HTTP/1.1, one to look on.
  async "capacity"() {
    await limits({ max_in_flight: 2 });
    await Promise.all(Array.from({ length: 5 }, () => get("/work?ms=1500")));
    await limits({});
  },
  async "quota"() {
    await limits({ rate: "5/s" });
    await times(8, () => get("/work?ms=0"));
    await limits({});
  },
  "late": () => get("/work?ms=5000", { "grpc-timeout": "200m" }),
  "expired": () => get("/work?ms=0", { "grpc-timeout": "0m" }),
  "cut": () => get("/stream?chunks=50&every_ms=100", { "grpc-timeout": "1S" }),
  "restore": () => limits({}),

  "call": () => times(10, call),
  "retry": () => misbehaving({ fail: 0.4 }, () => times(5, call)),
  "post": () => misbehaving({ fail: 0.5 }, async () => {
    await times(2, () => send("POST", "/upstream", { body: "soup" }));
    const headers = { "idempotency-key": `page-${Date.now()}` };
    await times(2, () => send("POST", "/upstream", { headers, body: "soup" }));
  }),
  "budget": () => misbehaving({ fail: 1 }, () => times(12, call)),
  async "breaker"() {
    await force("reset");
    await mode({ fail: 1, status: 500 });
    // It may be set to bear more than these.
    for (let n = 0; n < 40; n += 1) {
      if ((await call()).type === OPEN) break;
    }
  },
  async "well"() {
    await mode({});
    await force("auto");
    for (let n = 0; n < 6; n += 1) {
      const { type, wait } = await call();
      // Opened again and again it is open for a minute, for which the next turns wait on.
      if (type === OPEN) await pause(1000 * Math.min(wait ?? 1, 15));
    }
  },
  "hang-upstream": () => misbehaving({ latency_ms: 60000 }, call),
  "full-upstream": () => misbehaving({}, async () => {
    await limits({ upstream_max_in_flight: 0 });
    await call();
    await limits({});
  }),
  async "open"() { await force("open"); await call(); },
  async "closed"() { await force("closed"); await call(); },
  async "observe"() { await force("observe"); await call(); },
  async "auto"() { await force("auto"); await call(); },

  "hang": () => send("POST", "/demo/hang"),
  "resume": () => send("POST", "/demo/resume"),
  async "probes"() {
    await get("/livez");
    await get("/startupz");
    await get("/readyz?verbose");
  },
};

// As "2 × 200, 3 × 429 At capacity". What only set the scene is left out, where it did.
function summed() {
  const played = answers.filter(({ scene, status }) => !scene || status !== 200);
  const counts = new Map();
  for (const { status, title } of played.length ? played : answers) {
    const what = [status || "", title ?? ""].join(" ").trim();
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, many]) => (many > 1 ? `${many} × ${what}` : what)).join(", ");
}

const buttons = [...document.querySelectorAll("[data-do]")];

// Not by `disabled`, which would take the focus from who came by the keyboard.
function enable(enabled) {
  for (const button of buttons) button.setAttribute("aria-disabled", String(!enabled));
}

async function press({ currentTarget: button }) {
  if (button.getAttribute("aria-disabled") === "true") return;
  enable(false);
  const name = button.textContent;
  answers = [];
  byId("answers").replaceChildren();
  say("summary", `${name}: under way …`);
  try {
    await actions[button.dataset.do]();
  } finally {
    say("summary", `${name}: ${summed()}.`);
    enable(true);
  }
}

for (const button of buttons) button.addEventListener("click", press);
follow();
