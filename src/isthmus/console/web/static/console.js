// Small things that a page cannot do by itself. No page needs this file to show what it shows.
"use strict";

const REFRESH_MILLISECONDS = 5000;
const MOST_REST_MILLISECONDS = 30000;

// Pages that live ask for themselves again, unless nobody looks or somebody is just using them.
function refresh() {
  const live = document.getElementById("live");
  const selection = document.getSelection();
  const busy = live && ((selection && !selection.isCollapsed && live.contains(selection.anchorNode)) || live.querySelector(".chart[data-at], input:focus, select:focus, textarea:focus"));
  if (live && window.htmx && !document.hidden && !busy) window.htmx.trigger(live, "refresh");
}

// A console that takes long for a page is left alone five times as long: many open windows do not hold up each other.
let asked = 0;
let due = 0;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "live") asked = performance.now();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id === "live") due = performance.now() + Math.min(MOST_REST_MILLISECONDS, 5 * (performance.now() - asked));
});
setInterval(() => {
  if (performance.now() >= due) refresh();
}, REFRESH_MILLISECONDS);
document.addEventListener("visibilitychange", refresh);

// What somebody opened stays open when the page is updated.
if (window.Idiomorph) {
  window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
}

document.addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-toggle]");
  if (toggle) {
    const open = document.getElementById(toggle.dataset.toggle).classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
  }
  if (event.target.closest("[data-theme-toggle]")) {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax; Secure`;
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent.trim()).then(() => {
      copy.lastChild.textContent = "Copied";
    });
  }
});

// "/" goes to the search, as on many sites.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("[data-key='/']");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});

// In a text of YAML the tab key indents, until Escape gives it back to the keyboard's way through the page.
document.addEventListener("keydown", (event) => {
  const area = event.target;
  if (!(area instanceof HTMLTextAreaElement) || !area.dataset.indent) return;
  if (event.key === "Escape") area.dataset.leave = "yes";
  else if (event.key === "Tab" && !event.shiftKey && !area.dataset.leave) {
    event.preventDefault();
    area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
document.addEventListener("focusin", (event) => delete event.target.dataset?.leave);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// Says at each field what is wrong with it, from the list that the check gave.
function mark() {
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const text of document.querySelectorAll(".fields .error")) text.remove();
  for (const item of document.querySelectorAll(".diagnostics [data-field]")) {
    const path = item.dataset.field;
    const field = document.querySelector(`.fields [name="${CSS.escape(path)}"]`) || document.querySelector(`.fields [data-path="${CSS.escape(path)}"]`);
    if (!field) continue;
    field.setAttribute("aria-invalid", "true");
    const text = document.createElement("span");
    text.className = "error";
    text.textContent = item.querySelector("p").textContent.replace(/^.*?spec\S*\s/, "");
    (field.closest("label") || field).append(text);
  }
}
document.addEventListener("htmx:afterSettle", mark);
document.addEventListener("DOMContentLoaded", mark);

// Reads a chart off where the pointer is, or by the arrow keys; without either, the legend shows the newest values.
function read(figure, index) {
  const data = JSON.parse(figure.dataset.chart);
  const count = data.times.length;
  const at = Math.max(0, Math.min(count - 1, index));
  figure.dataset.at = String(at);
  figure.querySelectorAll("[data-value]").forEach((field, place) => {
    field.dataset.newest ??= field.textContent;
    const value = data.series[place][at];
    field.textContent = value === null || value === undefined ? "–" : `${value} ${data.unit}`;
  });
  const caption = figure.querySelector("figcaption > .quiet");
  caption.dataset.unit ??= caption.textContent;
  caption.textContent = `${caption.dataset.unit} at ${data.times[at]}`;
  figure.querySelector(".cursor").setAttribute("d", `M${((at + 0.5) * 600) / count} 0V100`);
}
function unread(figure) {
  delete figure.dataset.at;
  for (const field of figure.querySelectorAll("[data-newest]")) field.textContent = field.dataset.newest;
  const caption = figure.querySelector("[data-unit]");
  if (caption) caption.textContent = caption.dataset.unit;
  figure.querySelector(".cursor").setAttribute("d", "");
}
document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.(".plot svg");
  for (const figure of document.querySelectorAll(".chart[data-at]")) if (!svg || !figure.contains(svg)) unread(figure);
  if (!svg) return;
  const box = svg.getBoundingClientRect();
  const figure = svg.closest(".chart");
  read(figure, Math.floor(((event.clientX - box.left) / box.width) * JSON.parse(figure.dataset.chart).times.length));
});
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const figure = event.target.closest?.(".chart");
  if (!step || !figure) return;
  event.preventDefault();
  read(figure, figure.dataset.at === undefined ? JSON.parse(figure.dataset.chart).times.length - 1 : Number(figure.dataset.at) + step);
});

// A one-time code comes after "#": it is not sent anywhere but in the form, and does not stay in the address.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("by-code");
  if (form && location.hash.length > 1) {
    form.elements.code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    form.hidden = false;
    document.getElementById("by-hand").hidden = true;
    form.querySelector("button").focus();
  }
});
