"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
document.querySelector("h1").textContent = document.title;

// Sections name themselves.
const nav = document.querySelector("nav");
for (const section of all("main > section[id]")) {
  const link = document.createElement("a");
  link.href = "#" + section.id;
  link.textContent = section.id[0].toUpperCase() + section.id.slice(1);
  link.title = section.querySelector("h2").textContent;
  nav.append(link);
}

// Theme: the system's, until the button is used.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
const paint = () => { root.dataset.theme = chosen ?? (dark.matches ? "dark" : "light"); };
dark.addEventListener("change", paint);
document.querySelector("#theme").addEventListener("click", () => { chosen = root.dataset.theme === "dark" ? "light" : "dark"; paint(); });
paint();

// Sorting: by the number where there is one; what has none stands last in both directions.
for (const table of all("table.data")) {
  const body = table.tBodies[0];
  const declared = [...body.rows];
  all("th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      all("th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      table.classList.toggle("sorted", next !== "none");
      const sign = next === "descending" ? -1 : 1;
      const numeric = head.classList.contains("num") || declared.some((row) => row.cells[column].dataset.sort !== undefined);
      const key = (row) => (numeric ? parseFloat(row.cells[column].dataset.sort) : row.cells[column].textContent);
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (!numeric) return sign * x.localeCompare(y);
        return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0;
      };
      body.append(...(next === "none" ? declared : [...declared].sort(compare)));
    });
  });
}

// Filters: every word must occur.
const filter = (input, items, text) => input.addEventListener("input", () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of items) item.hidden = !words.every((word) => text(item).includes(word));
});
for (const input of all("input[data-filter]")) {
  filter(input, [...document.getElementById(input.dataset.filter).tBodies[0].rows], (row) => row.textContent.toLowerCase());
}
for (const input of all("input[data-filter-cells]")) filter(input, all("details.cell"), (cell) => cell.dataset.words);

// Figures: a button hides its variant in all of them; a point says what it is.
for (const button of all("[data-toggle]")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    all(`[data-variant="${button.dataset.toggle}"]`).forEach((part) => part.classList.toggle("off", !shown));
  });
}
const tip = document.querySelector("#tip");
document.addEventListener("pointermove", (event) => {
  const point = event.target.closest?.("[data-tip]");
  tip.hidden = !point;
  if (!point) return;
  tip.textContent = point.dataset.tip;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = event.clientY - tip.offsetHeight - 10 + "px";
});

// Samples play until paused, or until asked where the reader wants less motion; a paused wall is its first frame.
const walls = all(".wall img").map((image) => ({ image, moving: image.src, still: null }));
const play = document.querySelector("#play");
const setPlaying = (on) => {
  for (const wall of walls) {
    if (!on && wall.still === null) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [wall.image.naturalWidth, wall.image.naturalHeight];
      canvas.getContext("2d").drawImage(wall.image, 0, 0);
      wall.still = canvas.toDataURL();
    }
    wall.image.src = on ? wall.moving : wall.still;
  }
  play.textContent = on ? "Pause" : "Play";
  play.setAttribute("aria-pressed", String(on));
};
if (play) {
  play.addEventListener("click", () => setPlaying(play.getAttribute("aria-pressed") !== "true"));
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) Promise.all(walls.map((wall) => wall.image.decode())).then(() => setPlaying(false));
}

// Of many cells, what is inside a card is unpacked when it is opened; so is a large file when it is asked for.
const unpacked = (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const held = document.querySelector("#packed-cards");
if (held) {
  const { together, pieces } = JSON.parse(held.textContent);
  for (const cell of all("details[data-card]")) {
    cell.addEventListener("toggle", async () => {
      const place = Number(cell.dataset.card);
      cell.lastElementChild.innerHTML = JSON.parse(await unpacked(pieces[Math.floor(place / together)]))[place % together];
    }, { once: true });
  }
}
for (const link of all("a[data-packed]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    link.href = URL.createObjectURL(new Blob([await unpacked(link.dataset.packed)], { type: "text/csv" }));
    link.click();
  }, { once: true });
}

// A link to a cell opens it.
document.documentElement.dataset.ready = "true";
