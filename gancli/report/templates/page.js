"use strict";
// Films follow their sliders, and curves say their values where the pointer is.
(() => {
  const FRAME_MILLISECONDS = 100;
  const MOST_STILLS = 6;
  const LAST_EPOCH = /epoch [\d.e+]+$/;
  const each = (selector, within) => Array.from(within.querySelectorAll(selector));
  const data = new Map();

  function filmOf(id) {
    if (!data.has(id)) data.set(id, JSON.parse(document.getElementById(id).textContent));
    return data.get(id);
  }

  function connectPlayer(player) {
    const range = player.querySelector("input");
    const button = player.querySelector("button");
    const screens = each("[data-film]", player).map((node) => ({
      film: filmOf(node.dataset.film),
      image: node.querySelector("img"),
      words: node.querySelector("output"),
    }));
    // The curves of this run mark the epoch that its film shows.
    const article = player.closest("article");
    const charts = article ? each(".chart", article) : [];
    const last = Number(range.max);
    let timer = 0;

    function show(touched) {
      const part = last ? Number(range.value) / last : 1;
      for (const { film, image, words } of screens) {
        const index = Math.round(part * (film.pngs.length - 1));
        image.src = `data:image/png;base64,${film.pngs[index]}`;
        image.alt = image.alt.replace(LAST_EPOCH, `epoch ${film.epochs[index]}`);
        words.textContent = film.words[index];
        range.setAttribute("aria-valuetext", film.words[index]);
        if (touched) for (const chart of charts) mark(chart, film.epochs[index]);
      }
    }

    function pause() {
      clearInterval(timer);
      timer = 0;
      button.textContent = "Play";
    }

    function toggle() {
      if (timer) return pause();
      if (Number(range.value) >= last) range.value = 0;
      show(true);
      button.textContent = "Pause";
      timer = setInterval(() => {
        range.value = Number(range.value) + 1;
        show(true);
        if (Number(range.value) >= last) pause();
      }, FRAME_MILLISECONDS);
    }

    range.addEventListener("input", () => {
      pause();
      show(true);
    });
    range.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    button.addEventListener("click", toggle);
    addEventListener("beforeprint", () => {
      pause();
      range.value = last;
      show(false);
      for (const chart of charts) chart.querySelector(".marker").setAttribute("d", "");
    });
    const strip = player.querySelector(".stills");
    if (strip) for (const screen of screens) strip.append(...stills(screen));
    if (last > 0) player.querySelector(".controls").hidden = false;
    range.value = last; // a reloaded page would keep its old place
  }

  // Paper has no slider; it shows how the last frame came to be, the first of all among these.
  function stills({ film, image }) {
    const last = film.pngs.length - 1;
    const count = Math.min(MOST_STILLS, last);
    return Array.from({ length: count }, (_, number) => {
      const index = Math.round((number * last) / count);
      const still = document.createElement("figure");
      const picture = image.cloneNode();
      const words = document.createElement("figcaption");
      picture.src = `data:image/png;base64,${film.pngs[index]}`;
      picture.alt = image.alt.replace(LAST_EPOCH, `epoch ${film.epochs[index]}`);
      words.textContent = `epoch ${film.epochs[index]}`;
      still.append(picture, words);
      return still;
    });
  }

  function mark(chart, epoch) {
    const { first, last, left, right } = JSON.parse(chart.dataset.chart);
    const part = last > first ? (epoch - first) / (last - first) : 0.5;
    chart.querySelector(".marker").setAttribute("d", upright(left + (right - left) * part));
  }

  function upright(x) {
    return `M${x},0V1000`;
  }

  function connectChart(chart) {
    const { at, epochs, values } = JSON.parse(chart.dataset.chart);
    const drawing = chart.querySelector("figure > svg");
    const cursor = drawing.querySelector(".cursor");
    const told = each(".entry output", chart);
    const where = chart.querySelector(".where output");
    let index = at.length - 1;

    function tell(wanted, path) {
      index = Math.min(Math.max(wanted, 0), at.length - 1);
      told.forEach((node, series) => (node.textContent = values[series][index]));
      where.textContent = epochs[index];
      cursor.setAttribute("d", path ?? upright(at[index]));
    }

    function nearest(x) {
      let best = 0;
      at.forEach((there, i) => {
        if (Math.abs(there - x) < Math.abs(at[best] - x)) best = i;
      });
      return best;
    }

    const rest = () => tell(at.length - 1, "");
    drawing.addEventListener("pointermove", (event) => {
      const place = drawing.getBoundingClientRect();
      const x = (event.clientX - place.left) / place.width;
      tell(nearest(x * drawing.viewBox.baseVal.width));
    });
    drawing.addEventListener("pointerleave", rest);
    drawing.addEventListener("blur", rest);
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      tell(index + step);
    });
  }

  each(".chart", document).forEach(connectChart);
  each(".player", document).forEach(connectPlayer);
  addEventListener("beforeprint", () => each("details", document).forEach((d) => (d.open = true)));
})();
