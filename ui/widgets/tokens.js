// Tokens as spans. Everything that comes from a sample goes through textContent, never into markup.
export default function ({ parentElement, data, setTriggerValue }) {
  let root = parentElement.querySelector(".tokens")
  if (!root) {
    root = document.createElement("div")
    root.className = "tokens"
    root.append(document.createElement("div"), document.createElement("div"))
    root.children[0].className = "text"
    root.children[1].className = "tip"
    parentElement.append(root)
  }
  const [text, tip] = root.children
  text.setAttribute("role", "group")
  text.setAttribute("aria-label", data.name + ": arrow keys move between tokens, Enter picks one")
  const letters = JSON.stringify([data.sample, data.labels, data.special, data.tail])
  if (root.letters !== letters || text.childElementCount === 0) build(text, data)
  root.letters = letters
  root.style.setProperty("--full", data.full)

  const spans = text.querySelectorAll(".token")
  const active = data.picked ?? 0
  spans.forEach((span, i) => {
    span.style.setProperty("--s", Math.abs(data.strength[i]))
    span.style.setProperty("--hue", data.strength[i] < 0 ? data.below : data.hue)
    span.classList.toggle("out", data.left_out[i] === 1)
    span.classList.toggle("before", i < (data.before ?? 0))
    span.classList.toggle("picked", data.picked === i)
    span.tabIndex = i === active ? 0 : -1
    span.setAttribute("aria-pressed", String(data.picked === i))
  })

  const index = (event) => {
    const span = event.target.closest?.(".token")
    return span ? Number(span.dataset.i) : null
  }
  const show = (i) => {
    if (i === null) { tip.style.display = "none"; return }
    const span = spans[i]
    const box = span.getClientRects()[0]
    const frame = root.getBoundingClientRect()
    tip.textContent = "#" + data.first[i] + "  " + data.tips[i]
    tip.style.display = "block"
    const left = Math.min(box.left - frame.left, frame.width - tip.offsetWidth)
    tip.style.left = Math.max(0, left) + "px"
    tip.style.top = box.bottom - frame.top + 3 + "px"
  }
  const move = (i) => {
    spans.forEach((span) => { span.tabIndex = -1 })
    spans[i].tabIndex = 0
    spans[i].focus()
    show(i)
  }
  const pick = (i) => setTriggerValue("picked", { sample: data.sample, span: i })
  text.onmouseover = (event) => show(index(event))
  text.onmouseleave = () => show(null)
  text.onfocusout = () => show(null)
  text.onclick = (event) => { const i = index(event); if (i !== null) pick(i) }
  text.onkeydown = (event) => {
    const i = index(event)
    if (i === null) return
    const steps = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: spans.length - 1 }
    if (event.key in steps) {
      event.preventDefault()
      move(Math.min(Math.max(steps[event.key], 0), spans.length - 1))
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      pick(i)
    }
  }
}

function build(text, data) {
  const made = document.createDocumentFragment()
  data.labels.forEach((label, i) => {
    const span = document.createElement("span")
    span.className = data.special[i] ? "token special" : "token"
    span.dataset.i = i
    span.setAttribute("role", "button")
    span.textContent = label
    if (!label.trim()) span.setAttribute("aria-label", label.includes("\n") ? "line break" : "space")
    made.append(span)
  })
  if (data.tail) {
    const tail = document.createElement("span")
    tail.className = "tail"
    tail.title = "Not scored: beyond the length limit"
    tail.textContent = data.tail
    made.append(tail)
  }
  text.replaceChildren(made)
}
