// One .npz file, sent by our own routes; what the page keeps of it is {digest, name, size}. See uploader_sending.js.

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const find = (name) => parentElement.querySelector(`.${name}`);
  const root = find("data");
  document.engineRoomToken = data.token; // the newest, for uploads that were begun earlier
  root.kept = data.kept;
  find("label").textContent = data.label;
  find("help").textContent = data.help;
  if (root.show) return root.show();

  const file = find("file");

  function show() {
    const { upload, kept } = root;
    const going = Boolean(upload?.active);
    find("choose").textContent = kept ? "Choose another" : "Choose an .npz file";
    find("choose").hidden = going;
    find("remove").hidden = !going && !kept;
    find("remove").textContent = going ? "Cancel" : "Remove";
    find("bar").hidden = !going;
    find("bar").value = upload?.total ? upload.sent / upload.total : 0;
    find("told").classList.toggle("wrong", upload?.state === "failed");
    if (going) find("told").textContent = `${upload.name}: ${progressText(upload)}`;
    else if (upload?.state === "failed") find("told").textContent = [upload.problem.message, upload.problem.hint].filter(Boolean).join(" ");
    else find("told").textContent = kept ? `${kept.name} · ${sizeText(kept.size)}` : "";
  }

  function begin(given) {
    const upload = new Sending([{ name: given.name, file: given }], given.name, () => ({ as: "data" }), () => document.engineRoomToken, `engine-room-${data.key}`);
    root.upload = upload;
    upload.listener = () => {
      if (root.upload !== upload) return;
      if (upload.state === "done") {
        root.kept = { digest: upload.digest, name: given.name, size: given.size };
        root.upload = null;
        setStateValue("data", root.kept);
      }
      show();
    };
    upload.run();
  }

  find("choose").onclick = () => file.click();
  file.onchange = () => {
    const given = file.files[0];
    file.value = "";
    if (given) begin(given);
  };
  find("remove").onclick = () => {
    if (root.upload?.active) root.upload.cancel();
    else {
      root.kept = null;
      setStateValue("data", null);
    }
    root.upload = null;
    show();
  };
  root.ondragover = (event) => {
    event.preventDefault();
    root.classList.add("over");
  };
  root.ondragleave = () => root.classList.remove("over");
  root.ondrop = (event) => {
    event.preventDefault();
    root.classList.remove("over");
    if (event.dataTransfer.files[0]) begin(event.dataTransfer.files[0]);
  };
  root.show = show;
  show();
}
