/**
 * Server-sent events over fetch. The browser's EventSource cannot listen for event names it does not know beforehand and hides
 * the status of a refused request; the event stream needs the first, a helpful error card the second.
 */
export interface ServerEvent {
  event: string;
  id: string | null;
  data: string;
}

/** Incremental parser of the text/event-stream format. */
export class EventParser {
  #buffer = "";
  #event = "";
  #data: string[] = [];
  #id: string | null = null;
  #afterReturn = false;
  /** Set by the server's `retry:` field, milliseconds. */
  retry: number | null = null;

  push(chunk: string): ServerEvent[] {
    const out: ServerEvent[] = [];
    this.#buffer += this.#afterReturn && chunk.startsWith("\n") ? chunk.slice(1) : chunk;
    this.#afterReturn = chunk.endsWith("\r");
    const lines = this.#buffer.split(/\r\n|\r|\n/);
    this.#buffer = lines.pop() ?? "";
    for (const line of lines) this.#line(line, out);
    return out;
  }

  #line(line: string, out: ServerEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) out.push({ event: this.#event || "message", id: this.#id, data: this.#data.join("\n") });
      this.#event = "";
      this.#data = [];
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
}

export type StreamState = "connecting" | "open" | "waiting" | "closed";

export interface StreamOptions {
  url: string;
  lastEventId?: string | undefined;
  onEvents(events: ServerEvent[]): void;
  onState?(state: StreamState): void;
  /** A refusal (4xx) ends the stream; anything else is retried. */
  onRefused?(response: Response): void;
  signal: AbortSignal;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/** Reads until aborted or refused, reconnecting with `Last-Event-ID` and growing pauses. */
export async function openStream(options: StreamOptions): Promise<void> {
  const { signal, onState } = options;
  let lastId = options.lastEventId ?? null;
  let pause = FIRST_RETRY_MS;
  while (!signal.aborted) {
    onState?.("connecting");
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (lastId !== null) headers["last-event-id"] = lastId;
      const response = await fetch(options.url, { headers, signal, cache: "no-store", credentials: "same-origin" });
      if (response.status >= 400 && response.status < 500 && response.status !== 408 && response.status !== 429) {
        onState?.("closed");
        options.onRefused?.(response);
        return;
      }
      if (response.ok && response.body) {
        onState?.("open");
        const parser = new EventParser();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          pause = FIRST_RETRY_MS;
          const events = parser.push(value);
          lastId = events.findLast((e) => e.id !== null)?.id ?? lastId;
          if (events.length > 0) options.onEvents(events);
        }
        pause = parser.retry ?? pause;
      }
    } catch {
      // A lost connection is the ordinary case here; the state callback shows it.
    }
    if (signal.aborted) break;
    onState?.("waiting");
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_RETRY_MS);
  }
  onState?.("closed");
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, ms);
    function finish() {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      done();
    }
    signal.addEventListener("abort", finish);
  });
}
