// A stock y-websocket client, driven by lines of JSON on its standard input and answering with lines on its output.
import readline from 'node:readline'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const [address, field, token] = process.argv.slice(2)
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

const doc = new Y.Doc()
const text = doc.getText('content')
const provider = new WebsocketProvider(address, field, doc, {
  WebSocketPolyfill: WebSocket,
  protocols: ['bearer', token],
  disableBc: true
})
provider.on('sync', (synced) => say({ event: 'sync', synced }))
provider.on('closed', (why) => say({ event: 'closed', code: why.code }))
text.observe(() => say({ event: 'text', text: text.toString() }))
provider.awareness.on('change', () =>
  say({ event: 'awareness', states: [...provider.awareness.getStates().values()] }))

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { insert, at, remove, awareness, offline, online } = JSON.parse(line)
  if (remove) text.delete(at, remove)
  if (insert) text.insert(at ?? text.length, insert)
  if (awareness) provider.awareness.setLocalStateField('user', awareness)
  if (offline) provider.disconnect()
  if (online) provider.connect()
}).on('close', () => { provider.destroy(); process.exit(0) })
