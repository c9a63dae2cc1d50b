// Two buttons that save the plotly chart of a page as an image. `data` comes from chart.py.

/** Plotly draws in layers of SVG: one drawing of them all, without what only reacts to the pointer. */
function together(plot) {
  const layers = [...plot.querySelectorAll(".main-svg")];
  const drawing = layers[0].cloneNode(true);
  for (const layer of layers.slice(1)) drawing.append(...[...layer.childNodes].map((child) => child.cloneNode(true)));
  drawing.querySelectorAll(".hoverlayer, .draglayer, .zoomlayer").forEach((part) => part.remove());
  drawing.getBoundingClientRect = () => layers[0].getBoundingClientRect();
  return drawing;
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".saving");
  root.onclick = (event) => {
    const kind = event.target.dataset.do;
    const plot = document.querySelector(`.${data.chart} .js-plotly-plot`);
    if (kind && plot) saveChart(together(plot), root, kind, data.name);
  };
}
