import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { freePorts } from '../../support/service.ts'
import { accept, inviteOf, party, partyIn } from './support.ts'
import { testFolder } from '../../support/test-folder.ts'

/** More than any GET of a bundle sends up, less than a handshake. */
const HANDSHAKE_BYTES = 3000

/** Well beyond what an answer takes. */
const CUT_AFTER_MS = 4000

interface Proxy {
  readonly port: number
  /** From now on the answer to whatever is as large as a handshake is lost. */
  loses: boolean
  lost: number
}

/** A TCP proxy on a port that is known before its target is there. */
const proxyTo = async (t: Test, targetPort: () => number): Promise<Proxy> => {
  const sockets = new Set<Socket>()
  const proxy = { port: 0, loses: false, lost: 0 }
  const server = createServer((down) => {
    const up = connect(targetPort(), '127.0.0.1')
    for (const socket of [down, up]) {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }
    let sent = 0
    let cutting: NodeJS.Timeout | undefined
    down.on('data', (chunk) => {
      sent += chunk.length
      up.write(chunk)
    })
    up.on('data', (chunk) => {
      if (!proxy.loses || sent < HANDSHAKE_BYTES) {
        down.write(chunk)
        return
      }
      // Later, so that whatever was on its way up has arrived and been answered.
      if (cutting === undefined) proxy.lost += 1
      cutting ??= setTimeout(() => down.destroy(), CUT_AFTER_MS)
    })
    up.on('close', () => down.destroy())
    down.on('close', () => up.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  proxy.port = (server.address() as AddressInfo).port
  return proxy
}

t.test(
  'a reply that was lost is given again, even to an acceptor that was restarted',
  async (t) => {
    const folder = testFolder(t, ['acme', 'globex'])
    const [listening = 0] = await freePorts(1)
    const proxy = await proxyTo(t, () => listening)
    const acme = await party(t, 'acme', {
      ENTENTE_DATA_DIR: `${folder}/acme`,
      ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${listening}`,
      ENTENTE_PUBLIC_URL: `https://localhost:${proxy.port}`,
    })
    const settings = { ENTENTE_DATA_DIR: `${folder}/globex` }
    const globex = await party(t, 'globex', settings)
    const { invite } = await inviteOf(acme, { for: 'globex.example' })
    proxy.loses = true
    t.match(await accept(globex, invite), {
      status: 502,
      body: { code: 'PEER_UNREACHABLE', failedStep: 'they reached us' },
    })
    t.equal(proxy.lost, 1)
    t.match((await acme.call('GET', '/invites')).body.items, [{ state: 'used' }], 'it was heard')
    t.match((await globex.call('GET', '/relationships/acme')).body, { state: 'pending' })
    proxy.loses = false
    t.match(await accept(globex, invite), { status: 201, body: { consent: 'given' } })
    const second = await inviteOf(acme, { for: 'initech.example' })
    await globex.service.admin('POST', '/meshes', {
      meshId: 'initech',
      trustDomain: 'initech.example',
    })
    const initech = partyIn(globex.service, 'initech')
    proxy.loses = true
    t.equal((await accept(initech, second.invite)).status, 502)
    proxy.loses = false
    const ports = {
      ENTENTE_PUBLIC_URL: globex.service.publicUrl,
      ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${new URL(globex.service.publicUrl).port}`,
    }
    await globex.service.stop()
    const again = await party(t, 'unused', { ...settings, ...ports })
    const restarted = partyIn(again.service, 'initech')
    t.match(
      await accept(restarted, second.invite),
      { status: 201, body: { consent: 'given', relationship: { state: 'active' } } },
      'with another endpoint key than the one that signed',
    )
    t.equal((await acme.call('GET', '/relationships')).body.items.length, 2)
  },
)
