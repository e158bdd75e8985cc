// Plays a recording: both parties drawn apart, the agent above and the customer below. Without this script the browser's
// own controls are there. Nothing is fetched before somebody wants to listen, for listening is noted in the audit log.
import { each } from "./lib/dom";

const LONGEST_DRAWN = 3600; // seconds: decoding takes memory
const RATE = 8000; // Hz, as telephones have it
const SEEK_SECONDS = 5;

class Player {
  private readonly audio: HTMLAudioElement;
  private readonly seek: HTMLInputElement;
  private readonly canvas: HTMLCanvasElement;
  private peaks: Float32Array[] = [];
  private loading = false;

  constructor(private readonly root: HTMLElement) {
    this.audio = this.part<HTMLAudioElement>("audio");
    this.seek = this.part<HTMLInputElement>("[data-seek]");
    this.canvas = this.part<HTMLCanvasElement>("[data-waves]");
    this.audio.removeAttribute("controls");
    this.audio.hidden = true;
    this.part("[data-bar]").hidden = false;
    this.listen();
    this.draw();
  }

  private part<Kind extends HTMLElement = HTMLElement>(selector: string): Kind {
    return this.root.querySelector<Kind>(selector)!;
  }

  private listen(): void {
    const { audio, seek } = this;
    this.part("[data-toggle]").addEventListener("click", () => this.toggle());
    this.part<HTMLSelectElement>("[data-speed]").addEventListener("change", (event) => {
      audio.playbackRate = Number((event.target as HTMLSelectElement).value);
    });
    seek.addEventListener("input", () => {
      audio.currentTime = Number(seek.value);
      this.show();
    });
    this.canvas.addEventListener("click", (event) => {
      audio.currentTime = (event.offsetX / this.canvas.clientWidth) * this.length();
      this.show();
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["play", "pause", "ended", "timeupdate", "seeked"]) audio.addEventListener(name, () => this.show());
    audio.addEventListener("error", () => this.trouble());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  }

  private key(event: KeyboardEvent): void {
    const on = event.target as HTMLElement;
    if (on.matches("select") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "k" || (event.key === " " && on === this.seek)) this.toggle();
    else if (event.key === "j" || event.key === "ArrowLeft") this.audio.currentTime -= SEEK_SECONDS;
    else if (event.key === "l" || event.key === "ArrowRight") this.audio.currentTime += SEEK_SECONDS;
    else return;
    event.preventDefault();
  }

  private toggle(): void {
    void this.load();
    if (this.audio.paused) this.audio.play().catch(() => this.trouble());
    else this.audio.pause();
  }

  private length(): number {
    return Number.isFinite(this.audio.duration) && this.audio.duration ? this.audio.duration : Number(this.seek.max);
  }

  private show(): void {
    const { audio, seek } = this;
    const playing = !audio.paused && !audio.ended;
    seek.max = String(this.length());
    seek.value = String(audio.currentTime);
    this.part("[data-at]").textContent = clock(audio.currentTime);
    seek.setAttribute("aria-valuetext", `${clock(audio.currentTime)} / ${clock(this.length())}`);
    this.part("[data-shown-playing]").hidden = !playing;
    this.part("[data-shown-paused]").hidden = playing;
    this.part("[data-toggle]").setAttribute("aria-label", this.root.dataset[playing ? "pause" : "play"]!);
    this.draw();
  }

  private trouble(): void {
    const told = this.part("[data-trouble]");
    told.textContent = this.root.dataset["failed"]!;
    told.hidden = false;
  }

  // The whole sound once more, from the browser's cache where it may, to see its shape.
  private async load(): Promise<void> {
    if (this.loading || Number(this.seek.max) > LONGEST_DRAWN) return;
    this.loading = true;
    try {
      const answer = await fetch(this.audio.src);
      if (!answer.ok) return;
      const sound = await new OfflineAudioContext(2, 1, RATE).decodeAudioData(await answer.arrayBuffer());
      this.peaks = Array.from({ length: sound.numberOfChannels }, (_, channel) => peaks(sound.getChannelData(channel)));
      this.root.dataset["drawn"] = String(this.peaks.length);
      this.draw();
    } catch {
      this.loading = false; // it plays all the same
    }
  }

  private draw(): void {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const width = (canvas.width = Math.round(canvas.clientWidth * scale));
    const height = (canvas.height = Math.round(canvas.clientHeight * scale));
    const pen = canvas.getContext("2d");
    if (!pen || !width) return;
    const style = getComputedStyle(canvas);
    const colours = ["--player-agent", "--player-customer"].map((name) => style.getPropertyValue(name));
    const played = (this.audio.currentTime / this.length()) * width;
    const lane = height / 2;
    for (const [channel, colour] of colours.entries()) {
      const heights = this.peaks[channel] ?? this.peaks[0] ?? new Float32Array(1);
      pen.fillStyle = colour;
      for (let x = 0; x < width; x += 3 * scale) {
        const peak = heights[Math.floor((x / width) * heights.length)] ?? 0;
        const size = Math.max(peak * (lane - 4 * scale), scale);
        pen.globalAlpha = x < played ? 1 : 0.4;
        pen.fillRect(x, lane * channel + (lane - size) / 2, 2 * scale, size);
      }
    }
    pen.globalAlpha = 1;
    pen.fillStyle = style.color;
    pen.fillRect(played, 0, scale, height);
  }
}

function peaks(samples: Float32Array): Float32Array {
  const found = new Float32Array(1200);
  const step = samples.length / found.length;
  let most = 0.05;
  for (let n = 0; n < found.length; n++) {
    for (let at = Math.floor(n * step); at < Math.floor((n + 1) * step); at++)
      found[n] = Math.max(found[n]!, Math.abs(samples[at]!));
    most = Math.max(most, found[n]!);
  }
  return found.map((one) => one / most);
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const known = new WeakSet<Element>(); // htmx keeps a player while the page around it changes
each("[data-player]", (one) => {
  if (known.has(one)) return;
  known.add(one);
  new Player(one);
});
