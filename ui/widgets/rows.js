// A page of samples as a list of buttons. Texts go through textContent, never into markup.
const TURNED = Symbol("turned")

export default function ({ parentElement, data, setTriggerValue }) {
  let list = parentElement.querySelector(".rows")
  if (!list) {
    list = document.createElement("div")
    list.className = "rows"
    parentElement.append(list)
  }
  list.setAttribute("role", "listbox")
  const keys = data.turns ? ", j and k open the next" : ""
  list.setAttribute("aria-label", `Samples: arrow keys move, Enter opens one${keys}`)
  list.style.setProperty("--hue", data.hue)
  const digits = Math.max(...data.rows.map((row) => row.rank.length), 1)
  list.style.setProperty("--rank", `${digits + 1}ch`)
  const part = (name, text) => {
    const made = document.createElement("div")
    made.className = name
    if (text !== undefined) made.textContent = text
    return made
  }
  const open = (id) => {
    list.opening = id
    setTriggerValue("chosen", id)
  }
  const held = list.contains(list.getRootNode().activeElement)
  const buttons = data.rows.map((row, i) => {
    const button = document.createElement("button")
    const chosen = row.id === data.chosen
    button.className = chosen ? "row chosen" : "row"
    button.type = "button"
    button.setAttribute("role", "option")
    button.setAttribute("aria-selected", String(chosen))
    button.tabIndex = chosen || (i === 0 && !data.rows.some((r) => r.id === data.chosen)) ? 0 : -1
    const body = part("body")
    body.append(part("snippet", row.text), part("meta", row.meta))
    const score = part("score", row.score)
    const bar = part("bar")
    const fill = part("fill")
    fill.style.width = row.share * 100 + "%"
    bar.append(fill)
    score.append(bar)
    button.append(part("rank", row.rank), body, score)
    button.onclick = () => open(row.id)
    return button
  })
  list.replaceChildren(...buttons)
  if (held) buttons.find((b) => b.tabIndex === 0)?.focus({ preventScroll: true })
  list.onkeydown = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 }
    const at = buttons.indexOf(event.target.closest(".row"))
    if (!(event.key in steps) || at < 0) return
    event.preventDefault()
    const next = buttons[Math.min(Math.max(at + steps[event.key], 0), buttons.length - 1)]
    buttons.forEach((button) => { button.tabIndex = -1 })
    next.tabIndex = 0
    next.focus()
  }

  // On a narrow window the sample stands below the list: what was opened is brought into view.
  if (list.opening !== undefined && [data.chosen, TURNED].includes(list.opening)) {
    list.opening = undefined
    const detail = document.querySelector(".st-key-detail_head")
    const top = detail ? detail.getBoundingClientRect().top : 0
    if (top < 0 || top > window.innerHeight * 0.7) detail.scrollIntoView({ block: "start" })
  }

  // j and k, as in mail and code review, wherever the focus is but in a field. Behind the last row
  // of a page comes the first of the next one: which that is, the server knows.
  if (!data.turns) return undefined
  let turned = false
  const turn = (event) => {
    const steps = { j: 1, k: -1 }
    const field = event.composedPath()[0]
    const typing = field.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(field.tagName)
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey
    if (!(event.key in steps) || typing || !plain || !list.isConnected) return
    const step = steps[event.key]
    const at = data.rows.findIndex((row) => row.id === data.chosen)
    const from = at < 0 && step < 0 ? data.rows.length : at // the open one is on another page
    const next = data.rows[from + step]
    event.preventDefault()
    if (next) open(next.id)
    else if (!turned && data.turns.includes(step)) {
      turned = true
      list.opening = TURNED
      setTriggerValue("turn", step)
    }
  }
  document.removeEventListener("keydown", list.turn) // that of the rows drawn before
  list.turn = turn
  document.addEventListener("keydown", turn)
  return () => document.removeEventListener("keydown", turn)
}
