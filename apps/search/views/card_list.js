// Results as cards. What stands in a document becomes text nodes, never markup: it is shown and does nothing.
//
// A key asks the server for its cards itself, and the run of the page follows once nobody types. Where the server does
// not answer, the run brings the cards.

const lists = new WeakMap()

/** Called for every page of results that the server draws; one list stands for all of them. */
export default function ({ data, parentElement, setTriggerValue }) {
  if (!lists.has(parentElement)) lists.set(parentElement, new CardList(parentElement))
  const list = lists.get(parentElement)
  list.told(data, (action, card) => setTriggerValue("act", { action, id: card.id }))
  return () => {
    lists.delete(parentElement)
    list.leave()
  }
}

const FIELD = ".st-key-q"
const KEYS = ["input", "compositionend"] // Chinese is typed in parts; what counts is what they become

/** The cards of a text, or null where the server has none to give. None is aborted: that would close its connection. */
async function cardsOf(text, { url, token }) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, cache: "no-store", redirect: "error" }
  try {
    const answer = await fetch(url, { ...request, body: JSON.stringify({ token, text }) })
    return answer.status === 200 ? await answer.json() : null
  } catch {
    return null
  }
}

class CardList {
  constructor(root) {
    this.cards = []
    this.count = element("p", "count", { role: "status" })
    this.list = element("ol", "cards", { role: "list" }) // lists without bullets are none to some screen readers
    this.box = element("div", "results")
    this.box.append(this.count, this.list)
    root.append(this.box)
    this.typed = null // what was typed last, while the run of the page is of something older
    this.number = 0 // of the last key
    this.shown = 0 // the key whose cards stand there
    this.key = event => this.pressed(event)
    for (const name of KEYS) document.addEventListener(name, this.key, true)
  }

  /** A run of the page says what to draw. */
  told(data, act) {
    this.act = act
    this.words = data.words
    this.ask = data.ask
    this.run = data
    this.list.setAttribute("aria-label", data.words.results)
    if (this.typed === null || this.typed === data.typed) this.follow(data)
    // The run is of an older text, or the page wrote into the field what nobody typed. Then the field says so.
    else setTimeout(() => this.run === data && this.field?.value.trim() === data.typed && this.follow(data), 300)
  }

  follow(data) {
    this.typed = null
    this.shown = this.number
    this.draw(data)
  }

  pressed({ target, isComposing }) {
    if (!this.ask || isComposing || !target.closest?.(FIELD)) return
    this.field = target
    this.number += 1
    const text = target.value.trim()
    if (/[\p{L}\p{N}]/u.test(text)) {
      this.typed = text
      this.find(text, this.number)
    } else {
      this.typed = null
      this.shown = this.number
    }
  }

  async find(text, number) {
    const found = await cardsOf(text, this.ask)
    if (number <= this.shown || this.left) return // something newer stands there
    if (found) {
      this.shown = number
      this.draw(found)
    } else if (number === this.number) this.follow(this.run)
  }

  draw({ count, cards }) {
    write(this.count, count)
    for (const [place, told] of cards.entries()) {
      this.cards[place] ??= new Card(this)
      this.cards[place].draw(told)
    }
    for (const card of this.cards.splice(cards.length)) card.item.remove()
  }

  leave() {
    this.left = true
    for (const name of KEYS) document.removeEventListener(name, this.key, true)
    this.box.remove()
  }
}

class Card {
  constructor(list) {
    this.list = list
    this.item = element("li", "card")
    this.title = element("h3", "title")
    this.text = element("p", "text")
    this.facts = element("p", "facts")
    this.folded = element("p", "facts folded")
    this.buttons = {}
    const row = element("div", "actions")
    for (const [action, sign] of Object.entries(SIGNS)) {
      const button = element("button", action, { type: "button" })
      button.append(icon(sign))
      if (action in JUDGED) button.addEventListener("click", () => this.judge(action))
      else {
        button.append(element("span"))
        button.addEventListener("click", () => list.act(action, this.told))
      }
      this.buttons[action] = button
      row.append(button)
    }
    this.item.append(this.title, this.text, this.facts, this.folded, row)
    list.list.append(this.item)
  }

  draw(told) {
    const words = this.list.words
    const now = JSON.stringify([told, words])
    if (now === this.drawn) return
    this.drawn = now
    this.told = told
    this.title.replaceChildren(element("span", "rank", {}, told.rank), ` ${told.title}`)
    this.text.replaceChildren(...[told.before, told.marked && element("mark", "", {}, told.marked), told.after]
      .filter(Boolean).flatMap((part, place) => (place ? [" ", part] : [part])))
    const facts = told.verdict ? [...told.facts, words.judged[told.verdict]] : told.facts
    write(this.facts, facts.join(" · "))
    write(this.folded, told.folded)
    for (const [action, button] of Object.entries(this.buttons)) {
      if (action in JUDGED) {
        button.title = words[action]
        button.setAttribute("aria-label", words[action])
        button.setAttribute("aria-pressed", String(told.verdict === action))
      } else write(button.lastChild, words[action])
    }
  }

  judge(verdict) {
    this.list.act(this.told.verdict === verdict ? "unjudged" : verdict, this.told)
  }
}

const JUDGED = { good: "thumb_up", poor: "thumb_down" }
const SIGNS = { open: "article", why: "help", similar: "join", ...JUDGED }

function element(tag, name = "", attributes = {}, text = "") {
  const made = document.createElement(tag)
  if (name) made.className = name
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.textContent = text
  return made
}

/** A sign of the font of signs that the page has loaded. */
function icon(name) {
  return element("span", "icon", { "aria-hidden": "true", translate: "no" }, name)
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text
  node.hidden = !text
}
