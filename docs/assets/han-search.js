/* The search finds words by how they begin, and Chinese has no spaces between its words: it is asked for what contains
   them instead. A message of type 2 is a query to the search's worker. */
window.Worker = class extends window.Worker {
  postMessage(message, ...more) {
    const asks = message.type === 2
    super.postMessage(asks ? { ...message, data: message.data.replace(/\p{sc=Han}+/gu, "*$&*") } : message, ...more)
  }
}
