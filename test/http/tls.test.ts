import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import {
  CIPHER_SUITES,
  contextOf,
  GROUPS,
  type KeyedCertificate,
  serverTlsSettings,
  SniContexts,
} from '../../src/http/tls.ts'
import { createRoot } from '../../src/pki/ca-certificate.ts'
import { toPem } from '../../src/pki/certificate.ts'
import { exportPrivateKey, generateKeyPair, spkiOf } from '../../src/pki/key-pair.ts'
import { prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { spiffeIdOf } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'

const HOUR = 3_600_000

interface TestCa {
  readonly trustDomain: TrustDomain
  readonly root: Uint8Array
  issue(
    path: string,
    options?: { readonly rsa?: boolean; readonly id?: TrustDomain },
  ): KeyedCertificate
}

function testCa(name: string): TestCa {
  const trustDomain = parseTrustDomain(name)
  const keys = generateKeyPair()
  const notBefore = new Date(Date.now() - HOUR)
  const notAfter = new Date(Date.now() + HOUR)
  const root = createRoot({ trustDomain, keys, notBefore, notAfter })
  const issuer = { certificate: root, privateKey: keys.privateKey }
  return {
    trustDomain,
    root,
    issue: (path, { rsa = false } = {}) => {
      const leaf = generateKeyPair(rsa ? 'RS256' : 'ES256')
      const prepared = prepareX509Svid({
        id: spiffeIdOf(trustDomain, path),
        publicKey: spkiOf(leaf.publicKey),
        dnsNames: ['localhost'],
        notBefore: new Date(Date.now() - 30_000),
        notAfter: new Date(Date.now() + HOUR / 2),
        issuer,
      })
      const { certificate } = signX509Svid(prepared, issuer)
      return {
        cert: toPem(certificate),
        key: toPem(exportPrivateKey(leaf.privateKey), 'PRIVATE KEY'),
      }
    },
  }
}

async function listening(
  t: Test,
  contexts: SniContexts,
  client: 'none' | 'asked' = 'none',
): Promise<Server> {
  const server = createServer(contexts.serverOptions(client))
  contexts.attach(server)
  return open(t, server)
}

async function open(t: Test, server: Server): Promise<Server> {
  const sockets = new Set<TLSSocket>()
  server.on('tlsClientError', () => undefined)
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    sockets.add(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server
}

async function handshake(server: Server, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { port } = server.address() as AddressInfo
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'acme.example',
    rejectUnauthorized: false,
    ...options,
  })
  await once(socket, 'secureConnect')
  return socket
}

// The server's end of a connection, as the listener sees it.
async function serverSide(server: Server, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const client = await handshake(server, options)
  const [socket] = await accepted
  client.on('error', () => undefined)
  return socket
}

async function succeeds(server: Server, options: ConnectionOptions): Promise<boolean> {
  try {
    const socket = await handshake(server, options)
    socket.destroy()
    return true
  } catch {
    return false
  }
}

const acme = testCa('acme.example')

t.test('FE-14 the listener speaks the Mozilla intermediate profile and nothing else', async (t) => {
  for (const rsa of [false, true]) {
    const contexts = new SniContexts()
    contexts.setDefault(acme.issue('/server', { rsa }))
    const server = await listening(t, contexts)
    const kind = rsa ? 'RSA' : 'ECDSA'
    for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
      t.notOk(
        await succeeds(server, { minVersion: 'TLSv1', maxVersion, ciphers: 'ALL@SECLEVEL=0' }),
        `${kind} ${maxVersion}`,
      )
    }
    for (const suite of CIPHER_SUITES) {
      const is13 = suite.startsWith('TLS_')
      if (!is13 && !suite.includes(`-${kind}-`)) continue
      const version = is13 ? 'TLSv1.3' : 'TLSv1.2'
      const socket = await handshake(server, {
        ciphers: suite,
        minVersion: version,
        maxVersion: version,
      })
      t.equal(socket.getCipher().name, suite)
      socket.destroy()
    }
    for (const suite of [
      `ECDHE-${kind}-AES256-SHA384`,
      `ECDHE-${kind}-AES128-SHA`,
      'AES128-GCM-SHA256',
      'DHE-RSA-AES128-GCM-SHA256',
    ]) {
      t.notOk(
        await succeeds(server, { ciphers: suite, maxVersion: 'TLSv1.2' }),
        `${kind} refuses ${suite}`,
      )
    }
  }
})

t.test('FE-14 key exchange uses the groups of the profile', async (t) => {
  const contexts = new SniContexts()
  contexts.setDefault(acme.issue('/server'))
  const server = await listening(t, contexts)
  for (const group of serverTlsSettings().ecdhCurve.split(':')) {
    t.ok(await succeeds(server, { ecdhCurve: group, minVersion: 'TLSv1.3' }), group)
  }
  t.notOk(await succeeds(server, { ecdhCurve: 'secp521r1' }), 'a client that knows P-521 only')
  t.ok(GROUPS.includes('X25519MLKEM768'))
})

t.test(
  'FE-13 the federation listener sends no CertificateRequest, the workload listener asks and names no CA',
  async (t) => {
    const client = acme.issue('/web')
    const contexts = new SniContexts()
    contexts.setDefault(acme.issue('/server'))
    const federation = await listening(t, contexts)
    const unasked = await serverSide(federation, client)
    t.equal(
      unasked.getPeerX509Certificate(),
      undefined,
      'a certificate that is offered is never asked for',
    )
    const workload = await listening(t, contexts, 'asked')
    const shown = await serverSide(workload, client)
    t.match(shown.getPeerX509Certificate()?.subjectAltName, /spiffe:\/\/acme\.example\/web/)
    t.equal(shown.authorized, false, 'TLS alone authorises nobody')
    const anonymous = await serverSide(workload)
    t.equal(anonymous.getPeerX509Certificate(), undefined, 'and nobody has to show one')
  },
)

t.test(
  'FE-39 a listener that pools anchors takes a foreign CA at its word; ours trusts no CA at all',
  async (t) => {
    const globex = testCa('globex.example')
    const forger = testCa('acme.example')
    const forged = forger.issue('/web')
    const authorisedBy = async (options: object): Promise<boolean> => {
      const made = { ...acme.issue('/server'), requestCert: true, rejectUnauthorized: false }
      const server = await open(t, createServer({ ...made, ...options }))
      const socket = await serverSide(server, forged)
      return socket.authorized
    }
    const pooled = [acme.root, globex.root, forger.root].map((der) => toPem(der))
    t.equal(
      await authorisedBy({ ca: pooled }),
      true,
      'the twin: any pooled CA vouches for any trust domain',
    )
    t.equal(await authorisedBy(new SniContexts().serverOptions('asked')), false)
  },
)

t.test(
  'certificates are chosen by server name and can change while the listener runs',
  async (t) => {
    const contexts = new SniContexts()
    const server = await listening(t, contexts)
    t.notOk(await succeeds(server, {}), 'before there is any certificate handshakes end')
    contexts.replaceAll(new Map([['Acme.Example', acme.issue('/one')]]))
    const sanOf = async (options: ConnectionOptions = {}): Promise<string> => {
      const socket = await handshake(server, options)
      const san = socket.getPeerX509Certificate()?.subjectAltName ?? ''
      socket.destroy()
      return san
    }
    t.match(await sanOf(), /acme\.example\/one/)
    t.notOk(await succeeds(server, { servername: 'other.example' }), 'no default yet')
    contexts.setDefault(acme.issue('/default'))
    t.match(await sanOf({ servername: 'other.example' }), /acme\.example\/default/)
    t.match(await sanOf({ servername: '' }), /acme\.example\/default/, 'no server name at all')
    const kept = await handshake(server)
    contexts.replaceAll(new Map([['acme.example', acme.issue('/two')]]))
    t.match(await sanOf(), /acme\.example\/two/)
    t.equal(kept.destroyed, false, 'connections that are open stay open')
    kept.destroy()
    contexts.replaceAll(new Map())
    t.match(await sanOf(), /acme\.example\/default/, 'a name that was taken away gets the default')
  },
)

t.test('every connection shows its certificate: no session is resumed', async (t) => {
  const contexts = new SniContexts()
  contexts.setDefault(acme.issue('/server'))
  const server = await listening(t, contexts)
  const twin = await open(t, createServer(acme.issue('/server')))
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    t.equal(await isResumed(server, maxVersion), false, maxVersion)
    t.equal(await isResumed(twin, maxVersion), true, `${maxVersion} of a twin with session tickets`)
  }
})

t.test('a connection stays with whom it has proven: there is no renegotiation', async (t) => {
  const contexts = new SniContexts()
  contexts.setDefault(acme.issue('/server'))
  const server = await listening(t, contexts)
  const socket = await handshake(server, { maxVersion: 'TLSv1.2' })
  t.teardown(() => socket.destroy())
  const failure = await new Promise<Error | null>((resolve) => {
    socket.once('error', resolve)
    socket.renegotiate({ rejectUnauthorized: false }, resolve)
  })
  t.match(failure?.message, /no.renegotiation/i)
})

async function isResumed(server: Server, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean> {
  const first = await handshake(server, { maxVersion })
  const told = once(first, 'session') as Promise<[Buffer]>
  const none = new Promise<[undefined]>((resolve) => setTimeout(() => resolve([undefined]), 100))
  const [session = first.getSession()] = await Promise.race([told, none])
  first.destroy()
  const second = await handshake(server, { maxVersion, ...(session && { session }) })
  const reused = second.isSessionReused()
  second.destroy()
  return reused
}

t.test('a key that does not belong to the certificate is refused', async (t) => {
  const { cert } = acme.issue('/one')
  const { key } = acme.issue('/two')
  t.throws(() => contextOf({ cert, key }), { code: 'CERTIFICATE_INVALID' })
})
