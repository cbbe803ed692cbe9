/* The search finds words by how they begin, and Chinese has no spaces between its words: it is asked for what contains
   them instead. To the search's worker a message of type 2 is a query; one of type 3 is its answer, in which words that
   do not begin anything count as missing. */
window.Worker = class extends window.Worker {
  constructor(url) {
    super(url)
    this.addEventListener("message", ({ data: { type, data } }) => {
      for (const { title, text, terms } of type === 3 ? data.items.flat() : [])
        for (const term in terms) terms[term] ||= /\p{sc=Han}/u.test(term) && `${title} ${text}`.includes(term)
    })
  }

  postMessage(message, ...more) {
    const asks = message.type === 2
    super.postMessage(asks ? { ...message, data: message.data.replace(/\p{sc=Han}+/gu, "*$&") } : message, ...more)
  }
}
