// Says how an upload goes.

const SIZES = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];

function sizeText(bytes) {
  const [unit, factor] = SIZES.find(([, factor]) => bytes >= factor) ?? ["B", 1];
  return `${(bytes / factor).toFixed(factor > 1 ? 1 : 0)} ${unit}`;
}

function timeText(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function progressText(upload) {
  if (upload.state === "waiting") return upload.message;
  if (upload.state === "reading") {
    const share = upload.fraction === null || upload.fraction === undefined ? "" : ` · ${Math.round(upload.fraction * 100)} %`;
    return `Uploaded. ${upload.message}${share}`;
  }
  const parts = [`${sizeText(upload.sent)} of ${sizeText(upload.total)}`];
  if (upload.speed) {
    parts.push(`${sizeText(upload.speed)} a second`, `${timeText((upload.total - upload.sent) / upload.speed)} left`);
  }
  return parts.join(" · ");
}
