// Sends files in slices by our own routes (dashboard/uploads.py), goes on after a broken connection, and tells how it goes.
// It belongs to the tab and not to the page that shows it, so that an upload outlives a look at another page.

const UPLOADS = "/engine-room/uploads";
const SLICE_BYTES = 64 * 1024 * 1024;
const STALL_MS = 30000;
const POLL_MS = 400;
const LONGEST_WAIT_S = 5;
const REMEMBERED = "engine-room-upload";

class Refused extends Error {
  constructor(problem, status) {
    super(problem.message);
    this.problem = problem;
    this.status = status;
  }
}

class Cut extends Error {}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function remembered(slot = REMEMBERED) {
  try {
    return JSON.parse(localStorage.getItem(slot));
  } catch {
    return null;
  }
}

function remember(value, slot = REMEMBERED) {
  try {
    if (value) localStorage.setItem(slot, JSON.stringify(value));
    else localStorage.removeItem(slot);
  } catch {
    // Without storage an upload cannot go on after a reload; all else works.
  }
}

// Tells whether the same files are chosen again: their names, sizes and dates, as one number.
function fingerprint(files) {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (const letter of files.map(({ name, file }) => `${name}|${file.size}|${file.lastModified}`).join("\n")) {
    const code = letter.codePointAt(0);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  return `${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}`;
}

class Sending {
  constructor(files, name, options, token, slot = REMEMBERED) {
    this.slot = slot; // of the browser's storage, where an interrupted upload is found again
    this.files = files;
    this.name = name;
    this.options = options;
    this.token = token;
    this.total = files.reduce((sum, { file }) => sum + file.size, 0);
    this.sent = 0;
    this.state = "sending"; // then reading, then done, failed or cancelled; waiting while there is no connection
    this.message = "";
    this.problem = null;
    this.digest = null;
    this.listener = () => {};
    this.samples = [];
    this.id = null;
  }

  get active() {
    return ["sending", "waiting", "reading"].includes(this.state);
  }

  // Bytes a second over the last seconds.
  get speed() {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    return first && last.at - first.at > 500 ? ((last.sent - first.sent) / (last.at - first.at)) * 1000 : null;
  }

  tell(changes = {}) {
    Object.assign(this, changes);
    this.listener();
  }

  count(sent) {
    const at = performance.now();
    this.samples = [...this.samples.filter((sample) => at - sample.at < 4000), { at, sent }];
    this.tell({ sent });
  }

  ask(method, path, body, onProgress = () => {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      let stall;
      const alive = () => {
        clearTimeout(stall);
        stall = setTimeout(() => request.abort(), STALL_MS);
      };
      request.open(method, UPLOADS + path);
      request.setRequestHeader("X-Engine-Room-Token", this.token());
      request.upload.onprogress = (event) => {
        alive();
        onProgress(event.loaded);
      };
      request.onloadend = () => {
        clearTimeout(stall);
        let answer = {};
        try {
          answer = JSON.parse(request.responseText);
        } catch {
          // A proxy's page, or nothing at all.
        }
        if (request.status >= 200 && request.status < 300) resolve(answer);
        else if (answer.message) reject(new Refused(answer, request.status));
        else if (request.status === 413) {
          const hint = "Allow request bodies of 64 MB in the proxy before this server.";
          reject(new Refused({ message: "Something on the way refuses slices of this size.", hint }, 413));
        } else reject(new Cut());
      };
      alive();
      request.send(body);
    });
  }

  // Asks again for as long as the connection is broken; only a refusal in words ends it.
  async insist(step) {
    for (let wait = 1; ; wait = Math.min(2 * wait, LONGEST_WAIT_S)) {
      try {
        return await step();
      } catch (error) {
        if (this.state === "cancelled") throw error;
        if (!(error instanceof Cut)) throw error;
      }
      const before = this.state === "waiting" ? "sending" : this.state;
      for (let left = wait; left > 0 && this.state !== "cancelled" && !this.hurry; left--) {
        this.tell({ state: "waiting", message: `The connection is broken. Trying again in ${left} s.` });
        await Promise.race([pause(1000), new Promise((resolve) => addEventListener("online", resolve, { once: true }))]);
      }
      this.hurry = false;
      if (this.state === "cancelled") throw new Cut();
      this.samples = [];
      this.tell({ state: before, message: "" });
    }
  }

  // Finds the upload that was begun before, in this tab or before a reload, or begins one.
  async begin() {
    const mark = fingerprint(this.files);
    const known = remembered(this.slot);
    this.id ??= known?.mark === mark ? known.id : null;
    if (this.id) {
      try {
        await this.ask("GET", `/${this.id}`);
        return;
      } catch (error) {
        if (error.status !== 404) throw error;
        remember(null, this.slot);
      }
    }
    const files = this.files.map(({ name, file }) => ({ name, size: file.size }));
    this.id = (await this.ask("POST", "", JSON.stringify({ files }))).id;
    remember({ id: this.id, mark, name: this.name, total: this.total }, this.slot);
  }

  // Sends what the server does not have yet.
  async send() {
    const { received, state } = await this.ask("GET", `/${this.id}`);
    if (state !== "receiving") return;
    let before = 0;
    for (const [index, { file }] of this.files.entries()) {
      let offset = received[index];
      this.count(before + offset);
      while (offset < file.size) {
        const from = offset;
        const slice = file.slice(from, from + SLICE_BYTES);
        const path = `/${this.id}/${index}?offset=${from}`;
        try {
          offset = (await this.ask("PUT", path, slice, (loaded) => this.count(before + from + loaded))).received;
        } catch (error) {
          if (!(error instanceof Refused) && !(await readable(slice))) throw new Refused(CHANGED, 0);
          throw error;
        }
        this.count(before + offset);
      }
      before += file.size;
    }
  }

  async read() {
    const finish = () => this.ask("POST", `/${this.id}/finish`, JSON.stringify(this.options()));
    let told = await finish();
    while (!["done", "failed"].includes(told.state)) {
      this.tell({ state: "reading", message: told.message, fraction: told.fraction });
      await pause(POLL_MS);
      if (this.state === "cancelled") throw new Cut();
      told = await this.ask("GET", `/${this.id}`);
      if (told.state === "receiving") told = await finish(); // the server was restarted meanwhile
    }
    remember(null, this.slot);
    if (told.state === "failed") throw new Refused(told.error, 422);
    return told.digest;
  }

  async run() {
    this.tell({ state: "sending", problem: null, message: "" });
    try {
      await this.insist(() => this.begin());
      await this.insist(() => this.send());
      const digest = await this.insist(() => this.read());
      this.tell({ state: "done", digest, sent: this.total });
    } catch (error) {
      if (this.state === "cancelled") return;
      const strange = { message: "The upload failed in the browser.", hint: "Reload the page and try again.", detail: String(error) };
      this.tell({ state: "failed", problem: error instanceof Refused ? error.problem : strange });
    }
  }

  async cancel() {
    this.tell({ state: "cancelled" });
    this.request?.abort();
    await this.forget();
  }

  async forget() {
    remember(null, this.slot);
    if (this.id) await this.ask("DELETE", `/${this.id}`).catch(() => {});
  }
}

const CHANGED = {
  message: "The file was changed, moved or deleted while it was being sent.",
  hint: "Choose it again.",
};

async function readable(slice) {
  try {
    await slice.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
