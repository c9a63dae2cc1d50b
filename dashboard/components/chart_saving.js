// Saves drawn charts as files: an SVG that stands alone, or a PNG of it at twice its size.

/** A copy of a drawing that needs nothing of the page: with its size, its colours, its letters and the page's paper behind it. */
async function standalone(drawing, host) {
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
  const letters = Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "style"), { textContent: await faces(style.fontFamily) });
  copy.prepend(letters, paper);
  copy.querySelectorAll("[data-live]").forEach((element) => element.remove());
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

/** The page's upright face of the first of these families, as a style with the font inside; nothing when it has none. */
async function faces(families) {
  const family = families.split(",")[0].replaceAll(/["']/g, "").trim();
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule instanceof CSSFontFaceRule);
  const rule = rules.find(({ style }) => style.fontFamily.replaceAll(/["']/g, "") === family && style.fontStyle !== "italic");
  const address = rule?.style.src.match(/url\("?([^")]+)/)?.[1];
  if (!address) return "";
  const font = await (await fetch(new URL(address, rule.parentStyleSheet.href ?? location.href))).blob();
  const inside = await new Promise((resolve) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result) });
    reader.readAsDataURL(font);
  });
  return `@font-face { font-family: "${family}"; src: url("${inside}"); font-weight: ${rule.style.fontWeight || "normal"}; }`;
}

async function saveChart(drawing, host, kind, name) {
  const { text, width, height } = await standalone(drawing, host);
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
