const KEPT_MS = 60_000;

/** Gives the browser a file to keep. */
export function saveFile(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not at once: some browsers read it only when the download begins.
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
