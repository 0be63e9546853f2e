// Results as cards. What stands in a document becomes text nodes, never markup: it is shown and does nothing.

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

class CardList {
  constructor(root) {
    this.cards = []
    this.count = element("p", "count", { role: "status" })
    this.list = element("ol", "cards", { role: "list" }) // lists without bullets are none to some screen readers
    this.box = element("div", "results")
    this.box.append(this.count, this.list)
    root.append(this.box)
  }

  told(data, act) {
    this.act = act
    this.words = data.words
    this.list.setAttribute("aria-label", data.words.results)
    this.draw(data)
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
