import { once } from 'node:events'
import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'

/** What a bare server answers with, and as whom. */
interface FloorArgument {
  readonly cert: string
  readonly key: string
  readonly tls: object
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const { cert, key, tls, headers, body } = JSON.parse(process.argv[2] ?? '') as FloorArgument
const bytes = Buffer.from(body, 'base64')
let answered = 0
const server = createServer({ ...tls, cert, key }, (_request, response) => {
  answered += 1
  response.writeHead(200, { ...headers, 'content-length': bytes.length })
  response.end(bytes)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('message', () => process.send?.({ answered }))
process.send?.({ port: (server.address() as AddressInfo).port })
