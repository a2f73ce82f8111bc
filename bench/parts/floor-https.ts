import { once } from 'node:events'
import { createServer, type ServerOptions } from 'node:https'
import { type AddressInfo } from 'node:net'

/** What a bare server answers with, and as whom. */
interface FloorArgument {
  readonly tls: ServerOptions
  readonly headers: Readonly<Record<string, string>>
  /** Base64. */
  readonly body: string
}

const { tls, headers, body } = JSON.parse(process.argv[2] ?? '') as FloorArgument
const bytes = Buffer.from(body, 'base64')
const server = createServer(tls, (request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(200, { ...headers, 'content-length': bytes.length })
    response.end(bytes)
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send?.({ port: (server.address() as AddressInfo).port })
