// <time data-since="MS"> counts up, a second at a time. The server's clock may differ from ours: data-now says what it was.
import { each } from "./dom";

interface Clock {
  element: HTMLElement;
  since: number;
}

let clocks: Clock[] = [];

const show = ({ element, since }: Clock): void => {
  const whole = Math.max(0, Math.floor((Date.now() - since) / 1000));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  element.textContent = hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
};

each("[data-since]", (element) => {
  const ago = Number(element.dataset["now"]) - Number(element.dataset["since"]);
  const clock = { element, since: Date.now() - ago };
  clocks.push(clock);
  show(clock);
});

setInterval(() => {
  clocks = clocks.filter(({ element }) => element.isConnected);
  clocks.forEach(show);
}, 1000);
