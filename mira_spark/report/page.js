"use strict";

const nonce = document.currentScript.nonce;
const parts = [...document.querySelectorAll("details")];
const plots = [...document.querySelectorAll(".plot")];

// A link of the contents opens what it leads to.
function reveal(hash) {
  const part = document.getElementById(decodeURIComponent(hash.slice(1)));
  if (part) part.open = true;
}
for (const link of document.querySelectorAll("nav a")) link.addEventListener("click", () => reveal(link.hash));
reveal(location.hash);

// plotly.js is packed in the page; each plot is drawn when it comes into view.
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const script = document.createElement("script");
  script.nonce = nonce;
  script.textContent = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
}

function draw(place) {
  const given = place.querySelector("script");
  if (!given) return;
  const { data, layout } = JSON.parse(given.textContent);
  given.remove();
  if (layout.width && innerWidth < 640) { // on a phone a dimension is its number, as in the rubric
    layout.yaxis.ticktext = layout.yaxis.ticktext.map(name => name.split(" ")[0]);
    layout.width += 32 - layout.margin.l;
    layout.margin.l = 32;
  }
  Plotly.newPlot(place, data, layout, { displayModeBar: false, responsive: !layout.width });
}

unpack(document.getElementById("plotly").textContent).then(() => {
  const seen = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "200px" });
  for (const place of plots) seen.observe(place);
});

// On paper all is open and drawn.
addEventListener("beforeprint", () => {
  for (const part of parts) part.open = true;
  plots.forEach(draw);
});

function slide({ budget, total, percents, tokens, means, kept }) {
  const range = document.getElementById("budget");
  const rows = [...document.querySelectorAll("[data-source]")];
  const number = n => n.toLocaleString("en");
  const percent = share => (100 * share).toFixed(1) + "%";
  const write = (id, text) => { document.getElementById(id).textContent = text; };

  function show(place) {
    const sum = part => kept.reduce((all, own) => all + own[part][place], 0);
    const all = sum(1);
    const mean = means[place] === null ? "" : ", mean quality " + means[place];
    write("budget-now", `${percents[place]} % of the corpus' tokens, ${number(tokens[place])} tokens${mean}`);
    for (const { cells, dataset } of rows) {
      const [documents, own] = kept[dataset.source].map(figures => figures[place]);
      const mix = percent(own / Math.max(1, all));
      cells[1].textContent = number(documents);
      cells[2].textContent = number(own);
      cells[3].textContent = percent(own / Math.max(1, dataset.tokens));
      cells[4].lastChild.textContent = mix;
      cells[4].firstChild.style.width = mix;
    }
    write("all-documents", number(sum(0)));
    write("all-tokens", number(all));
    write("all-share", percent(all / Math.max(1, total)));
  }

  const off = place => Math.abs(tokens[place] - budget);
  const nearest = tokens.reduce((best, _, place) => off(place) < off(best) ? place : best, 0);
  range.addEventListener("input", () => show(+range.value));
  range.value = nearest;
  show(nearest);
}
const slider = document.getElementById("slider");
if (slider) slide(JSON.parse(slider.textContent));
