// Draws layers with cytoscape, laid out by dagre; a double click opens a layer into its source nodes.
// `data` comes from layer_graph.py; what the user does goes back as triggers `layer`, `expand`, `find` and `whole`.

const ASSETS = `${location.origin}/engine-room/assets/`;
const LAYER = { width: 168, height: 58 };
const NODE = { width: 150, height: 26 };
const PADDING = 14;
const MANY = 400; // beyond so many layers, drawing is kept plain

let libraries;
function load() {
  libraries ??= Promise.all([import(ASSETS + "cytoscape-3.34.4.esm.min.mjs"), script(ASSETS + "dagre-3.1.3.min.js")]).then(
    ([module]) => ({ cytoscape: module.default, dagre: window.dagre }),
  );
  return libraries;
}

function script(address) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}

/** Centres of boxes, and the way of each link, laid out by dagre. `boxes` has id, width and height; `links` are pairs of ids. */
function layOut(dagre, boxes, links, direction) {
  if (boxes.length > MANY) return inRanks(boxes, links, direction);
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: direction, nodesep: 16, ranksep: 34 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) graph.setNode(box.id, { width: box.width, height: box.height });
  for (const [from, to] of links) graph.setEdge(from, to);
  dagre.layout(graph);
  const places = new Map(boxes.map((box) => [box.id, graph.node(box.id)]));
  return { places, ways: links.map(([from, to]) => around(places.get(from), places.get(to), graph.edge(from, to).points)) };
}

/** The same for many boxes, at once: each box comes right after the last of those that lead to it. Ids are in execution order. */
function inRanks(boxes, links, direction) {
  const before = new Map(boxes.map((box) => [box.id, []]));
  for (const [from, to] of links) before.get(to).push(from);
  const rankOf = new Map();
  const ranks = [];
  for (const box of boxes) {
    const rank = before.get(box.id).reduce((last, from) => Math.max(last, (rankOf.get(from) ?? -1) + 1), 0);
    rankOf.set(box.id, rank);
    (ranks[rank] ??= []).push(box);
  }
  const [along, across] = direction === "LR" ? ["width", "height"] : ["height", "width"];
  const places = new Map();
  let depth = 0;
  for (const rank of ranks) {
    const deep = Math.max(...rank.map((box) => box[along]));
    let side = 0;
    for (const box of rank) {
      const [x, y] = [depth + deep / 2, side + box[across] / 2];
      places.set(box.id, direction === "LR" ? { x, y } : { x: y, y: x });
      side += box[across] + 16;
    }
    depth += deep + 34;
  }
  return { places, ways: links.map(() => ({})) };
}

/** How a link that passes other boxes goes around them, in cytoscape's terms: shares of the straight line and distances from it. */
function around(from, to, points) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy);
  if (points.length <= 3 || length === 0) return {};
  const bends = points.slice(1, -1).map(({ x, y }) => [x - from.x, y - from.y]);
  const along = bends.map(([x, y]) => (x * dx + y * dy) / length ** 2);
  const beside = bends.map(([x, y]) => (x * dy - y * dx) / length);
  return beside.some((distance) => Math.abs(distance) > 2) ? { along: along.join(" "), beside: beside.map((d) => -d).join(" ") } : {};
}

/** A layer's source nodes around the point 0, and the size of the whole. */
function layOutInside(dagre, inside, direction) {
  const boxes = inside.nodes.map((_, index) => ({ id: index, ...NODE }));
  const { places } = layOut(dagre, boxes, inside.edges, direction);
  const all = [...places.values()];
  const range = (axis, side) => [Math.min(...all.map((p) => p[axis] - side / 2)), Math.max(...all.map((p) => p[axis] + side / 2))];
  const [left, right] = range("x", NODE.width);
  const [top, bottom] = range("y", NODE.height);
  for (const place of all) {
    place.x -= (left + right) / 2;
    place.y -= (top + bottom) / 2;
  }
  return { places, width: right - left + 2 * PADDING, height: bottom - top + 2 * PADDING + 18 };
}

function elementsOf(dagre, data, direction) {
  const insides = new Map();
  for (const [position, inside] of Object.entries(data.inside)) insides.set(Number(position), layOutInside(dagre, inside, direction));
  const boxes = data.nodes.map((node) => ({ id: node.position, ...(insides.get(node.position) ?? LAYER) }));
  const { places, ways } = layOut(dagre, boxes, data.edges, direction);
  const elements = [];
  for (const node of data.nodes) {
    const place = places.get(node.position);
    const open = insides.get(node.position);
    const label = open ? node.title : `${node.title}\n${node.subtitle}`;
    elements.push({ data: { id: `${node.position}`, ...node, label }, position: { x: place.x, y: place.y }, classes: open ? "open" : "layer" });
    if (!open) continue;
    data.inside[node.position].nodes.forEach((source, index) => {
      const at = open.places.get(index);
      elements.push({
        data: { id: `${node.position}/${index}`, parent: `${node.position}`, label: source.label, name: source.name, colour: node.colour },
        position: { x: place.x + at.x, y: place.y + at.y + 6 },
        classes: "source",
      });
    });
    for (const [from, to] of data.inside[node.position].edges) {
      elements.push({ data: { source: `${node.position}/${from}`, target: `${node.position}/${to}` } });
    }
  }
  data.edges.forEach(([from, to], index) => elements.push({ data: { source: `${from}`, target: `${to}`, ...ways[index] } }));
  return elements;
}

/** A theme's colour as red, green and blue. */
function channels(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function styleFor(host, many) {
  const computed = getComputedStyle(host);
  const theme = (name) => computed.getPropertyValue(name).trim();
  const [text, border, accent] = [theme("--st-text-color"), theme("--st-border-color"), theme("--st-primary-color")];
  const paper = channels(theme("--st-background-color"));
  const tint = (colour, part) => `rgb(${channels(colour).map((value, i) => Math.round(value * part + paper[i] * (1 - part))).join(",")})`;
  const tints = new Map();
  const tinted = (part) => (element) => {
    const key = `${element.data("colour")} ${part}`;
    if (!tints.has(key)) tints.set(key, tint(element.data("colour"), part));
    return tints.get(key);
  };
  const font = { "font-family": theme("--st-font") || "sans-serif", color: text, "text-wrap": "wrap", "text-valign": "center" };
  return [
    {
      selector: "node",
      style: { ...font, label: "data(label)", shape: "round-rectangle", "border-width": 1.5, "border-color": "data(colour)", "min-zoomed-font-size": 7 },
    },
    { selector: ".layer", style: { ...LAYER, "font-size": 12, "text-max-width": 160, "line-height": 1.25, "background-color": tinted(0.22) } },
    { selector: "node[?border]", style: { "border-style": "data(border)", "border-width": 3 } },
    { selector: ".open", style: { "font-size": 12, "text-valign": "top", "text-margin-y": 16, padding: PADDING, "background-color": tinted(0.1) } },
    { selector: ".source", style: { ...NODE, "font-size": 11, "border-width": 1, "background-color": tinted(0.3) } },
    {
      selector: "edge",
      style: {
        width: 1.4, "line-color": border, "target-arrow-color": border, "arrow-scale": 0.8,
        "curve-style": many ? "haystack" : "bezier", "target-arrow-shape": many ? "none" : "triangle",
      },
    },
    {
      selector: "edge[along]",
      style: {
        "curve-style": many ? "haystack" : "round-segments", "segment-weights": "data(along)", "segment-distances": "data(beside)",
        "edge-distances": "node-position", "segment-radii": 12,
      },
    },
    { selector: ".touched", style: { width: 2.2, "line-color": accent, "target-arrow-color": accent } },
    { selector: ".chosen", style: { "border-width": 4, "border-color": accent, "font-weight": 700 } },
    { selector: ".cursor", style: { "outline-width": 2, "outline-color": text, "outline-offset": 3, "outline-style": "dashed" } },
    { selector: "node:active", style: { "overlay-opacity": 0.08 } },
  ];
}

class LayerGraph {
  constructor(parent) {
    this.root = parent.querySelector(".layer-graph");
    this.canvas = this.root.querySelector(".canvas");
    this.status = this.root.querySelector(".told");
    this.root.addEventListener("transitionend", (event) => event.propertyName === "color" && this.restyle());
    this.root.querySelector(".tools").addEventListener("click", (event) => this.press(event.target.dataset.do));
    this.root.querySelector(".find").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.value.trim()) this.tell("find", { text: event.target.value, nonce: Date.now() });
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.moveTo(this.cursor ?? this.data?.selected, false));
    this.canvas.addEventListener("blur", () => this.cy?.$(".cursor").removeClass("cursor"));
  }

  async update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    const { cytoscape, dagre } = await load();
    const before = this.data;
    this.data = data;
    const many = data.nodes.length > MANY;
    const direction = this.canvas.clientWidth < 560 ? "TB" : "LR";
    this.shape = `${data.build} ${direction} ${data.whole} ${data.nodes.map((n) => n.position)} ${Object.keys(data.inside)}`;
    if (this.shape !== this.drawn) {
      this.cy?.destroy();
      this.cy = cytoscape({
        container: this.canvas, elements: elementsOf(dagre, data, direction), layout: { name: "preset" }, style: styleFor(this.root, many),
        autoungrabify: true, boxSelectionEnabled: false, minZoom: 0.02, maxZoom: 3, pixelRatio: many ? 1 : "auto",
        hideEdgesOnViewport: many, textureOnViewport: many,
      });
      this.drawn = this.shape;
      this.listen();
      this.centre(Object.keys(data.inside).length > 0);
    } else if (before.colouring !== data.colouring || JSON.stringify(before.legend) !== JSON.stringify(data.legend)) {
      for (const node of data.nodes) {
        const element = this.cy.$id(`${node.position}`);
        element.data({ ...node, border: node.border ?? "", label: element.isParent() ? node.title : `${node.title}\n${node.subtitle}` });
      }
      this.restyle();
    }
    this.cursor = data.selected;
    this.mark();
    this.describe();
    this.root.dataset.shown = `${data.nodes.length}`;
    this.root.dataset.selected = `${data.selected}`;
  }

  listen() {
    const layer = (element) => (element.isChild() ? element.parent() : element);
    // What comes above the canvas later moves it, and Cytoscape would go on looking where it was.
    this.canvas.onpointerenter = this.canvas.onpointerdown = () => this.cy?.renderer().invalidateContainerClientCoordsCache();
    this.cy.on("onetap", "node", (event) => this.select(layer(event.target).data("position")));
    this.cy.on("dbltap", "node", (event) => this.expand(layer(event.target).data("position")));
    this.cy.on("mouseover", "node", (event) => {
      this.say(event.target.isChild() ? event.target.data("name") : event.target.data("told"));
      this.canvas.style.cursor = "pointer";
    });
    this.cy.on("mouseout", "node", () => {
      this.canvas.style.cursor = "";
      this.say(this.at(this.data.selected)?.data("told"));
    });
  }

  at(position) {
    const found = this.cy?.$id(`${position}`);
    return found?.nonempty() ? found : undefined;
  }

  /** Text at a size one can read around the selection; an opened layer comes whole into view. */
  centre(opened) {
    const chosen = this.at(this.data.selected) ?? this.cy.nodes().first();
    this.cy.fit(undefined, 20);
    if (this.cy.zoom() < 0.9) {
      this.cy.zoom(0.9);
      this.cy.center(chosen);
    }
    if (this.cy.zoom() > 1.2) {
      this.cy.zoom(1.2);
      this.cy.center();
    }
    if (opened && chosen.isParent() && chosen.renderedBoundingBox().w > this.canvas.clientWidth) this.cy.fit(chosen, 24);
  }

  mark() {
    this.cy.batch(() => {
      this.cy.$(".chosen, .touched").removeClass("chosen touched");
      const chosen = this.at(this.data.selected);
      chosen?.addClass("chosen").connectedEdges().addClass("touched");
    });
    this.canvas.setAttribute("aria-label", this.data.label);
    this.say(this.at(this.data.selected)?.data("told"));
  }

  describe() {
    const { legend, whole, total, nodes, height, selected, inside, expandable } = this.data;
    const button = (name) => this.root.querySelector(`[data-do=${name}]`);
    button("whole").setAttribute("aria-pressed", whole);
    button("whole").hidden = nodes.length === total && !whole;
    button("expand").disabled = !expandable;
    button("expand").textContent = selected in inside ? "Collapse" : "Expand";
    this.root.style.setProperty("--graph-height", `${height}px`);
    const items = Object.entries(legend).map(([name, colour]) => {
      const item = document.createElement("li");
      item.append(document.createElement("span"), name);
      item.firstChild.style.background = colour;
      return item;
    });
    this.root.querySelector(".legend").replaceChildren(...items);
  }

  restyle() {
    this.cy?.style(styleFor(this.root, this.data.nodes.length > MANY));
  }

  say(text) {
    this.status.textContent = text ?? "";
  }

  select(position) {
    if (position !== this.data.selected) this.tell("layer", position);
  }

  expand(position) {
    this.tell("expand", { layer: position, nonce: Date.now() });
  }

  press(action) {
    if (action === "fit") this.cy?.fit(undefined, 20);
    if (action === "in") this.zoom(1.3);
    if (action === "out") this.zoom(1 / 1.3);
    if (action === "whole") this.tell("whole", { on: !this.data.whole, nonce: Date.now() });
    if (action === "expand") this.expand(this.data.selected);
  }

  zoom(factor) {
    const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy?.zoom({ level: this.cy.zoom() * factor, renderedPosition: middle });
  }

  key(event) {
    const here = this.at(this.cursor);
    const beside = (ends) => ends?.filter((element) => !element.isChild()).first().data("position");
    const along = { ArrowRight: () => beside(here?.outgoers("node")), ArrowLeft: () => beside(here?.incomers("node")) };
    along.ArrowDown = () => this.cursor + 1;
    along.ArrowUp = () => this.cursor - 1;
    const does = { Enter: () => this.select(this.cursor), e: () => this.expand(this.cursor), f: () => this.press("fit") };
    Object.assign(does, { "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3) });
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (along[event.key]) this.moveTo(along[event.key]() ?? this.cursor);
    else if (does[event.key]) does[event.key]();
    else return;
    event.preventDefault();
  }

  moveTo(position, pan = true) {
    const target = this.at(position);
    if (!target) return;
    this.cursor = position;
    this.cy.$(".cursor").removeClass("cursor");
    target.addClass("cursor");
    this.say(target.data("told"));
    const box = target.renderedBoundingBox();
    const visible = box.x1 > 0 && box.y1 > 0 && box.x2 < this.cy.width() && box.y2 < this.cy.height();
    if (pan && !visible) this.cy.center(target);
  }

  destroy() {
    this.cy?.destroy();
  }
}

const shown = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!shown.has(parentElement)) shown.set(parentElement, new LayerGraph(parentElement));
  const graph = shown.get(parentElement);
  graph.update(component).catch((error) => graph.say(`The graph could not be drawn: ${error.message}. The table lists the same layers.`));
  return () => setTimeout(() => graph.root.isConnected || graph.destroy());
}
