// Shows the progress of an order as it comes. When the stream breaks, the browser opens it again where it was.
const steps = document.getElementById("steps");
const approval = document.getElementById("approval");
const events = new EventSource(steps.dataset.events);

function show(event) {
  const { text, waits } = JSON.parse(event.data);
  const line = document.createElement("li");
  // Text, and never HTML: it has what customers and handlers wrote.
  line.textContent = text;
  steps.append(line);
  if (approval) approval.hidden = !waits;
}

events.addEventListener("step", show);
events.addEventListener("over", (event) => {
  events.close();
  show(event);
  // The page of an order that is over has its receipt.
  if (steps.dataset.over === "no") location.reload();
});
