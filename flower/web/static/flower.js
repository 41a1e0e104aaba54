// Keeps a page true: hears that something has changed, fetches the page anew, and changes only what differs. Without this script the pages
// can be read; with it they follow, and verbs can be sent. Nothing that came from a task is ever made into markup here: the server escaped it.
"use strict";

const LOST_AFTER = 1500, AGAIN_AFTER = 1000, POLL_EVERY = 5000, AT_MOST_EVERY = 150;
const page = { busy: false, pressed: false, stale: false, last: 0, took: 0 };
document.documentElement.classList.add("scripted");

/* Times: in the reader's zone, and counting. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long", hourCycle: "h23" });

function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 60) return `${Math.floor(s)} s`;
  for (const [unit, name, smaller, less] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (s < unit) continue;
    const rest = Math.floor((s % unit) / smaller);
    return rest ? `${Math.floor(s / unit)} ${name} ${rest} ${less}` : `${Math.floor(s / unit)} ${name}`;
  }
}

function tell(time) {
  const at = new Date(time.dateTime), seconds = (Date.now() - at) / 1000, shown = time.dataset.shown;
  if (isNaN(at)) return;
  let text = at.toDateString() === new Date().toDateString() ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
  if (shown === "since") text = duration(seconds);
  if (shown === "ago") text = seconds < -1 ? `in ${duration(-seconds)}` : seconds < 2 ? "now" : seconds < 7 * 86400 ? `${duration(seconds)} ago` : text;
  if (time.textContent !== text) time.textContent = text;
  const title = (shown === "since" ? "since " : "") + whole.format(at);
  if (time.title !== title) time.title = title;
}
const tellAll = (root = document) => root.querySelectorAll("time[data-shown]").forEach(tell);
setInterval(() => document.hidden || tellAll(), 1000);

/* Changing only what differs: focus, selections and open details stay as they are. */

function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute?.("data-keep")) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id ?? "") !== (fresh.id ?? "")) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  if (old.nodeName === "TIME" && old.dateTime === fresh.dateTime && old.dataset.shown === fresh.dataset.shown) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? known.get(child.id) : place && !place.id && place.nodeName === child.nodeName ? place : null;
    if (!same) { old.insertBefore(child, place); continue; }
    if (same === place) place = place.nextSibling; else old.insertBefore(same, place);
    morph(same, child);
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next; }
}

// The task that is looked at is to be seen in its picture.
function reveal() {
  const picture = document.querySelector(".picture"), node = picture?.querySelector("[aria-current]");
  if (!node) return;
  const frame = picture.getBoundingClientRect(), box = node.getBoundingClientRect();
  if (box.left < frame.left || box.right > frame.right) picture.scrollLeft += box.left - frame.left - (frame.width - box.width) / 2;
}

function put(fresh) {
  const logs = document.querySelector("[data-follow]"), atEnd = logs && logs.scrollTop + logs.clientHeight >= logs.scrollHeight - 8;
  document.title = fresh.title;
  if (fresh.body.dataset.watch === undefined) delete document.body.dataset.watch; else document.body.dataset.watch = fresh.body.dataset.watch;
  tellAll(fresh);
  morph(document.querySelector("header.top nav"), fresh.querySelector("header.top nav"));
  morph(document.getElementById("main"), fresh.getElementById("main"));
  const after = document.querySelector("[data-follow]");
  if (after && (atEnd || after !== logs)) after.scrollTop = after.scrollHeight;
  count();
}

async function read(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") location.assign(answer.url);
  if (answer.status >= 500) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// One look at a time; whatever changes meanwhile is one more look. A page that is slow to make is asked for less often.
async function look() {
  if (page.busy || page.pressed || document.hidden) { page.stale = true; return; }
  page.busy = true; page.stale = false;
  const pause = Math.max(0, page.last + Math.max(AT_MOST_EVERY, 4 * page.took) - performance.now());
  if (page.last && pause) await new Promise((done) => setTimeout(done, pause));
  const began = performance.now(), address = location.href;
  try {
    const fresh = await read(address);
    if (page.pressed) page.stale = true;
    else if (address === location.href) put(fresh);
    found();
  } catch { lost(); setTimeout(look, AGAIN_AFTER); }
  page.last = performance.now(); page.took = page.last - began; page.busy = false;
  if (page.stale) look();
}
// What is pressed stays where it is until it is let go: the click is meant for that.
addEventListener("pointerdown", () => { page.pressed = true; }, true);
for (const kind of ["pointerup", "pointercancel", "blur"]) addEventListener(kind, () => setTimeout(() => { page.pressed = false; if (page.stale) look(); }), true);

/* Hearing: one stream while the page is looked at; without it, asking now and then. */

let stream = null, isLost = null;
const live = document.getElementById("live");
const said = (text, isLost = false) => { live.textContent = text; live.classList.toggle("lost", isLost); };
function lost() { isLost ??= setTimeout(() => said("No answer from Flower; trying again…", true), LOST_AFTER); }
function found() { clearTimeout(isLost); isLost = null; if (live.matches(".lost")) said(""); }

function hear() {
  const watch = document.body.dataset.watch;
  if (stream && stream.watch === watch && stream.readyState !== EventSource.CLOSED) return;
  stream?.close(); stream = null;
  if (watch === undefined || document.hidden) return;
  stream = new EventSource("/api/events" + (watch ? `?flow=${encodeURIComponent(watch)}` : ""));
  stream.watch = watch;
  stream.addEventListener("ready", () => { found(); look(); });
  stream.addEventListener("changed", look);
  stream.addEventListener("error", lost);
}
setInterval(() => {
  if (document.hidden || document.body.dataset.watch === undefined || stream?.readyState === EventSource.OPEN) return;
  look(); hear();
}, POLL_EVERY);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { stream?.close(); stream = null; } else { hear(); look(); }
});
addEventListener("pagehide", () => stream?.close());

/* Going to another view of the same page without losing one's place. */

async function go(address, { push = true } = {}) {
  const url = new URL(address, location.href);
  let fresh;
  try { fresh = await read(url); } catch { return location.assign(url); }
  if (push) history.pushState(null, "", url);
  // What a person fills in is kept when the page is made anew, and not when he goes elsewhere.
  document.querySelectorAll("main [data-keep]").forEach((kept) => kept.removeAttribute("data-keep"));
  put(fresh);
  document.querySelector("[data-filter]")?.reset();
  fill(); reveal(); hear();
}
addEventListener("popstate", () => go(location.href, { push: false }));

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.matches("[data-ask]")) { event.preventDefault(); ask(link.href); return; }
  const url = new URL(link.getAttribute("href"), location.href);
  if (url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
  event.preventDefault();
  go(url).then(() => link.closest(".bar") && scrollTo(0, 0));
});

// Whoever reads about a task goes on reading about it, whatever the flow comes to meanwhile.
for (const kind of ["pointerdown", "wheel", "focusin"]) document.addEventListener(kind, (event) => {
  const panel = event.target.closest?.("#task"), url = new URL(location.href);
  if (!panel || url.searchParams.has("task")) return;
  url.searchParams.set("task", panel.dataset.task);
  history.replaceState(null, "", url);
}, { passive: true });

// Arrow keys go from node to node of a graph, and from bar to bar of a timeline.
document.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const here = document.activeElement?.closest?.("[data-arrows] a");
  if (!way || !here || event.altKey || event.ctrlKey || event.metaKey) return;
  const middle = (node) => { const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
  const [x, y] = middle(here);
  let best = null, least = Infinity;
  for (const node of here.closest("[data-arrows]").querySelectorAll("a")) {
    const [a, b] = middle(node), along = (a - x) * way[0] + (b - y) * way[1], aside = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]);
    if (along > 4 && along + 2 * aside < least) { least = along + 2 * aside; best = node; }
  }
  if (best) { event.preventDefault(); best.focus(); best.scrollIntoView({ block: "nearest", inline: "nearest" }); }
});

/* Filters, and choosing many. */

const words = (form) => {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value !== "") query.append(name, form.elements[name].type === "datetime-local" ? new Date(value).toISOString() : value);
  }
  return query.toString();
};
// A field for a time is in the reader's zone; the address has UTC.
const local = (date) => new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
const fill = (root = document) => root.querySelectorAll("[data-moment]").forEach((field) => { if (field.dataset.moment) field.value = local(new Date(field.dataset.moment)); });
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of event.target.form.querySelectorAll("[name=flow]")) box.checked = event.target.checked;
  if (event.target.matches("[data-filter] select, [data-plan] select")) event.target.form.requestSubmit();
  count();
});
function count() {
  const chosen = document.querySelectorAll("#chosen [name=flow]:checked").length;
  for (const button of document.querySelectorAll("[data-chosen]")) {
    button.disabled = !chosen;
    button.textContent = `${button.dataset.chosen} ${chosen || ""} chosen…`.replace("  ", " ");
  }
}

/* Verbs: a dialog that shows what would follow, and sends it. */

const dialog = document.getElementById("dialog");
async function ask(address) {
  let fresh;
  try { fresh = await read(address); } catch { return said("No answer from Flower; try again."); }
  dialog.replaceChildren(...fresh.getElementById("main").childNodes);
  tellAll(dialog); fill(dialog);
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input:not([type=hidden]), textarea, select, button")?.focus();
}
document.addEventListener("click", (event) => { if (event.target.closest("[data-close]") && dialog.open) { event.preventDefault(); dialog.close(); } });

document.addEventListener("submit", (event) => {
  const form = event.target, button = event.submitter;
  if (button?.matches("[data-ask]")) { event.preventDefault(); ask(`${button.formAction}?${words(form)}`); }
  else if (form.matches("[data-filter]")) { event.preventDefault(); const query = words(form); go(form.action + (query ? `?${query}` : "")); }
  else if (form.matches("[data-plan]")) { event.preventDefault(); ask(`${form.action}?${words(form)}`); }
  else if (form.matches("[data-send]")) { event.preventDefault(); send(form); }
});

function wrong(form, errors, detail) {
  form.querySelectorAll(".wrong").forEach((note) => note.remove());
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  const rest = [];
  for (const { path, message } of errors) {
    const fields = [...form.querySelectorAll("[data-path]")].filter((field) => path === field.dataset.path || path.startsWith(field.dataset.path + ".") || path.startsWith(field.dataset.path + "["));
    const field = fields.sort((a, b) => b.dataset.path.length - a.dataset.path.length)[0];
    if (!field) { rest.push(path ? `${path}: ${message}` : message); continue; }
    note(field, path === field.dataset.path ? message : `${path.slice(field.dataset.path.length).replace(/^\./, "")}: ${message}`);
  }
  if (!errors.length && detail) rest.push(detail);
  for (const text of rest) { const p = Object.assign(document.createElement("p"), { className: "wrong", textContent: text }); p.setAttribute("role", "alert"); form.append(p); }
  form.querySelector("[aria-invalid]")?.focus();
}
function note(field, text) {
  const p = Object.assign(document.createElement("p"), { className: "wrong", textContent: text, id: `${field.id}-wrong` });
  p.setAttribute("role", "alert");
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", p.id);
  field.after(p);
}

// What stands in the fields, as JSON: under data-key, inside data-in if there is one; data-type says what a text becomes. Empty ones are left out, or
// null where data-null says so. What belongs into the address stands there alone.
// Throws the errors of those that are no JSON.
function filled(form) {
  const value = {}, errors = [];
  for (const field of form.querySelectorAll("[data-key]")) {
    const { key, type, path } = field.dataset, text = field.value;
    if (text === "" && field.dataset.needed !== undefined) errors.push({ path, message: "is needed" });
    if (text === "" && field.dataset.null !== undefined) value[key] = null;
    if (text === "" || field.dataset.named !== undefined) continue;
    let given = text;
    if (type === "number") given = Number(text);
    if (type === "boolean") given = text === "true";
    if (type === "moment") given = new Date(text).toISOString();
    if (type === "json") try { given = JSON.parse(text); } catch { errors.push({ path, message: "is no JSON (a text stands in double quotes)" }); continue; }
    const into = field.dataset.in ? value[field.dataset.in] ??= {} : value;
    if (type === "json" && field.dataset.spread !== undefined) Object.assign(into, given); else into[key] = given;
  }
  if (errors.length) throw errors;
  return value;
}

async function post(address, body, method = "POST") {
  const answer = await fetch(address, { method, headers: { "Content-Type": "application/json", "X-Flower": "1" }, body: JSON.stringify(body), credentials: "same-origin" });
  return [answer.ok, await answer.json().catch(() => ({ detail: `it answered ${answer.status}` })), answer.status];
}

async function send(form) {
  let body;
  try { body = filled(form); } catch (errors) { if (!Array.isArray(errors)) throw errors; return wrong(form, errors); }
  const button = form.querySelector("button.main"), many = [...form.querySelectorAll("[data-flow]")];
  button.disabled = true;
  try {
    if (many.length) return await sendMany(form, many, body);
    const named = form.querySelector("[data-named]"), address = form.dataset.send + (named ? encodeURIComponent(named.value) : "");
    const [ok, answer, status] = await post(address, body, form.dataset.method);
    if (!ok) { wrong(form, answer.errors ?? [], answer.detail ?? answer.description); return status === 409 && anew(form); }
    if (answer.taskFlowId) return location.assign(`/flows/${encodeURIComponent(answer.taskFlowId)}`);
    if (form.dataset.then) return location.assign(form.dataset.then);
    done(button.textContent, answer.hint);
  } catch { wrong(form, [], "Flower did not answer; it is not known whether this was done."); }
  finally { button.disabled = false; }
}
// What was done is said, with what the server said beside it, and the page shows it.
function done(what, hint) {
  if (dialog.open) dialog.close();
  const text = `Done: ${what}${hint ? `; but ${hint}` : ""}`;
  said(text);
  setTimeout(() => live.textContent === text && said(""), hint ? 15000 : 4000);
  look();
}
// A plan that is not good any more: the same question once more.
function anew(form) {
  const plan = dialog.querySelector("[data-plan]");
  if (!plan || form.querySelector(".anew")) return;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "anew", textContent: "Make a new plan" });
  button.addEventListener("click", () => plan.requestSubmit());
  form.append(button);
}

async function sendMany(form, many, body) {
  const meter = form.querySelector("progress");
  let sent = 0, refused = 0;
  meter.hidden = false; meter.max = many.length;
  const next = async () => {
    for (let item = many.shift(); item; item = many.shift()) {
      const [ok, answer] = await post(`/api/flows/${encodeURIComponent(item.dataset.flow)}/${form.dataset.verb}`, body);
      meter.value = ++sent;
      if (ok) { item.remove(); continue; }
      refused += 1; item.hidden = false;
      item.append(Object.assign(document.createElement("span"), { className: "wrong", textContent: ` ${answer.detail}` }));
    }
  };
  await Promise.all([next(), next(), next(), next()]);
  document.querySelectorAll("#chosen [type=checkbox]").forEach((box) => { box.checked = false; });
  count();
  if (!refused) return done(form.querySelector("button.main").textContent);
  form.querySelector("[data-done]").textContent = `${sent - refused} done, ${refused} refused`;
  form.querySelector("button.main").remove();
  look();
}

tellAll(); hear(); count(); fill(); reveal();
document.querySelectorAll("[data-follow]").forEach((logs) => { logs.scrollTop = logs.scrollHeight; });
