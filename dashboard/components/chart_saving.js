// Saves drawn charts as files: an SVG that stands alone, or a PNG of it at twice its size.

/** A copy of a drawing that needs nothing of the page: with its size, its colours and the page's paper behind it. */
function standalone(drawing, host) {
  const { width, height } = drawing.getBoundingClientRect();
  const copy = drawing.cloneNode(true);
  const style = getComputedStyle(host);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.style.color = style.color;
  copy.style.fontFamily = `${style.fontFamily}, sans-serif`;
  copy.style.fontSize = style.fontSize;
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width, height, fill: style.getPropertyValue("--st-background-color").trim() || "#fff" })) {
    paper.setAttribute(name, value);
  }
  copy.prepend(paper);
  copy.querySelectorAll("[data-live]").forEach((element) => element.remove());
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

async function saveChart(drawing, host, kind, name) {
  const { text, width, height } = standalone(drawing, host);
  const svg = new Blob([text], { type: "image/svg+xml" });
  const file = kind === "svg" ? svg : await painted(svg, width * 2, height * 2);
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: `${name}.${kind}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function painted(svg, width, height) {
  const image = new Image();
  image.src = URL.createObjectURL(svg);
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
