// Shows the drop zone and how the upload goes. Streamlit calls the default export at every rerun; see uploader_sending.js.

const ONE = "engineRoomUpload"; // the tab's one upload, kept on `window`

// Every file below what was dropped, with its path from there.
async function filesOfEntry(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ name: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at a time
    if (!some.length) return found;
    for (const inner of some) found.push(...(await filesOfEntry(inner)));
  }
}

async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return (await Promise.all(entries.map(filesOfEntry))).flat();
}

const filesOfInput = (input) => [...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));

function titleOf(files) {
  const tops = new Set(files.map(({ name }) => name.split("/")[0]));
  return tops.size === 1 ? [...tops][0] : `${files.length} files`;
}

function warnBeforeLeaving(event) {
  if (window[ONE]?.active && window[ONE].state !== "reading") event.preventDefault();
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const find = (name) => parentElement.querySelector(`.${name}`);
  const root = find("uploader");
  document.engineRoomToken = data.token; // the newest, for uploads that were begun earlier
  find("room").hidden = !data.room;
  find("room").textContent = data.room ?? "";
  if (root.ready) return root.leave;
  root.ready = true;

  const names = (input) => find(input).value.split(",").map((name) => name.trim()).filter(Boolean);
  const options = () => ({ inputs: names("inputs"), outputs: names("outputs") });
  const token = () => document.engineRoomToken;
  let opened = null;

  function open(upload) {
    if (opened === upload) return;
    opened = upload;
    window[ONE] = null;
    setTriggerValue("digest", upload.digest);
  }

  function show() {
    const upload = window[ONE];
    const state = upload?.state ?? "idle";
    const going = Boolean(upload?.active);
    find("zone").hidden = going;
    find("going").hidden = !going;
    find("problem").hidden = state !== "failed";
    const unfinished = going || state === "failed" ? null : remembered();
    find("unfinished").hidden = !unfinished;
    if (unfinished) find("unfinished-text").textContent = `The upload of ${unfinished.name} (${sizeText(unfinished.total)}) was interrupted. Choose the same again to go on.`;
    if (going) {
      const share = state === "reading" ? (upload.fraction ?? 1) : upload.total ? upload.sent / upload.total : 1;
      find("name").textContent = upload.name;
      find("bar").value = share;
      find("bar").classList.toggle("busy", state === "reading");
      find("figures").textContent = progressText(upload);
      find("hurry").hidden = state !== "waiting";
    }
    if (state === "failed") {
      const { message, hint, detail } = upload.problem;
      find("message").textContent = message;
      find("hint").textContent = hint ? `What to do: ${hint}` : "";
      find("details").hidden = !detail;
      find("detail").textContent = detail ?? "";
    }
    const told = { idle: "", cancelled: "The upload was cancelled.", done: "The upload is complete.", failed: "", reading: "Uploaded, reading the model." }[state];
    const live = find("live");
    if (live.textContent !== (told ?? "Uploading.")) live.textContent = told ?? "Uploading.";
    if (state === "done" && root.isConnected) open(upload);
  }

  function begin(files) {
    if (!files.length) {
      const problem = { message: "There is no file in what was chosen.", hint: "Choose a model's file or folder." };
      window[ONE] = Object.assign(new Sending([], "", options, token), { state: "failed", problem });
      return show();
    }
    const upload = new Sending(files, titleOf(files), options, token);
    window[ONE] = upload;
    upload.listener = show;
    upload.run();
  }

  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
    find(button).onclick = () => find(input).click();
    find(input).onchange = () => {
      const chosen = filesOfInput(find(input));
      find(input).value = "";
      begin(chosen);
    };
  }
  find("cancel").onclick = () => window[ONE]?.cancel();
  find("hurry").onclick = () => {
    if (window[ONE]) window[ONE].hurry = true;
  };
  find("again").onclick = () => {
    if (window[ONE]?.files.length) window[ONE].run();
  };
  find("dismiss").onclick = async () => {
    await window[ONE]?.forget();
    window[ONE] = null;
    show();
  };
  find("forget").onclick = async () => {
    const stale = new Sending([], "", options, token);
    stale.id = remembered()?.id;
    await stale.forget();
    show();
  };

  const zone = find("zone");
  let depth = 0; // dragenter and dragleave come for children too
  const over = (step) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + step);
    zone.classList.toggle("over", depth > 0);
  };
  zone.ondragenter = over(1);
  zone.ondragleave = over(-1);
  zone.ondragover = (event) => event.preventDefault();
  zone.ondrop = async (event) => {
    event.preventDefault();
    depth = 0;
    zone.classList.remove("over");
    begin(await filesOfDrop(event.dataTransfer));
  };

  if (window[ONE]) window[ONE].listener = show;
  addEventListener("beforeunload", warnBeforeLeaving);
  show();
  root.leave = () => {
    if (window[ONE]) window[ONE].listener = () => {};
    root.ready = false;
  };
  return root.leave;
}
