import { execFileSync } from 'node:child_process'
import { lstatSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { issueEndpointSvid, keyPemOf } from '../../src/authority/endpoint-svid.ts'
import { readCertificate, splitPem, toPem } from '../../src/pki/certificate.ts'
import { writeJoinToken } from '../../src/pki/join-token.ts'
import {
  exportPrivateKey,
  generateKeyPair,
  publicKeySha256,
  spkiOf,
} from '../../src/pki/key-pair.ts'
import { BACKDATE_SECONDS, prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { parseSpiffeId, workloadEndpointId } from '../../src/spiffe/spiffe-id.ts'
import { type TestAuthority, testAuthority } from '../support/authority.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const service = await startTestService(t)
await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
const env = {
  ENTENTE_ADDR: `unix:${join(service.folder, 'admin.sock')}`,
  ENTENTE_TOKEN_FILE: join(service.folder, 'admin.token'),
}
const run = (...argv: string[]) => ran(argv, env)
const json = async (...argv: string[]) => {
  const { code, out, err } = await run(...argv, '--output', 'json')
  if (code !== 0) throw new Error(err)
  return JSON.parse(out)
}

t.test(
  'join-token create and svid fetch give a folder that OpenSSL and a second fetch agree with',
  async (t) => {
    const folder = dataFolder(t)
    const [tokenFile, out] = [join(folder, 'web.token'), join(folder, 'web')]
    const made = await run('join-token', 'create', '--id', '/web', '--token-file', tokenFile)
    t.equal(made.code, 0, made.err)
    t.match(made.out, `./bin/entente svid fetch --address localhost:`)
    t.match(made.out, `--token-file ${tokenFile} --out svid`)
    t.notMatch(made.out, 'entente-join-v1', 'the token went into the file')
    t.equal(statSync(tokenFile).mode & 0o777, 0o600)
    t.match(await run('join-token', 'create', '--id', '/web', '--token-file', tokenFile), {
      code: 2,
      err: /cannot make/,
    })

    const fetched = await run('svid', 'fetch', '--token-file', tokenFile, '--out', out)
    t.equal(fetched.code, 0, fetched.err)
    t.match(fetched.out, /spiffe id +spiffe:\/\/acme\.example\/web/)
    t.same(
      readdirSync(out)
        .filter((name) => !name.startsWith('.'))
        .toSorted(),
      ['bundle.pem', 'bundles', 'key.pem', 'svid.json', 'svid.pem'],
    )
    t.same(readdirSync(join(out, 'bundles')), ['acme.example.json'])
    t.equal(statSync(join(out, 'key.pem')).mode & 0o777, 0o600)
    t.equal(statSync(out).mode & 0o077, 0, 'nobody else may enter')
    const [leaf, middle] = splitPem(readFileSync(join(out, 'svid.pem'), 'utf8'))
    writeFileSync(join(folder, 'middle.pem'), toPem(middle ?? Buffer.of()))
    const trust = ['-CAfile', join(out, 'bundle.pem'), '-untrusted', join(folder, 'middle.pem')]
    const checked = execFileSync('openssl', [
      'verify',
      '-x509_strict',
      ...trust,
      join(out, 'svid.pem'),
    ])
    t.match(checked.toString(), 'OK')
    const key = execFileSync('openssl', [
      'pkey',
      '-in',
      join(out, 'key.pem'),
      '-pubout',
      '-outform',
      'DER',
    ])
    t.same(key, readCertificate(leaf ?? Buffer.of()).spki, 'key and certificate belong together')

    t.match(await run('svid', 'fetch', '--token-file', tokenFile, '--out', join(folder, 'again')), {
      code: 1,
      err: /was used before[^]*next:\n +entente join-token create/,
    })
  },
)

t.test(
  'svid fetch --renew replaces SVID and key in one step, and --jwt prints a token',
  async (t) => {
    const folder = dataFolder(t)
    const [tokenFile, out] = [join(folder, 'token'), join(folder, 'svid')]
    await json('join-token', 'create', '--id', '/renewed', '--token-file', tokenFile)
    const first = await json('svid', 'fetch', '--token-file', tokenFile, '--out', out)
    const before = readFileSync(join(out, 'key.pem'), 'utf8')
    const second = await json('svid', 'fetch', '--renew', '--out', out)
    t.equal(second.spiffeId, first.spiffeId)
    t.not(second.serial, first.serial)
    t.not(readFileSync(join(out, 'key.pem'), 'utf8'), before, 'with a key of its own')
    t.ok(lstatSync(join(out, 'svid.pem')).isSymbolicLink())
    await json('svid', 'fetch', '--renew', '--out', out)
    const generations = readdirSync(out).filter((name) => name.startsWith('.generation-'))
    t.equal(generations.length, 2, 'the one in use and the one before')

    const token = await run(
      'svid',
      'fetch',
      '--jwt',
      '--audience',
      'spiffe://globex.example/x',
      '--out',
      out,
    )
    t.match(token, { code: 0, out: /^[\w-]+\.[\w-]+\.[\w-]+\n$/ })
  },
)

t.test(
  'entries are made, changed, listed, shown and deleted by their SPIFFE ID or path',
  async (t) => {
    const made = await json(
      'entry',
      'create',
      '--id',
      '/cli',
      '--x509-ttl',
      '600',
      '--dns-name',
      'cli.example',
    )
    t.match(made, {
      spiffeId: 'spiffe://acme.example/cli',
      x509TtlSeconds: 600,
      dnsNames: ['cli.example'],
    })
    t.match((await run('entry', 'list')).out, /spiffe:\/\/acme\.example\/cli +600 s +300 s +all +-/)
    const changed = await json('entry', 'change', '/cli', '--federates-with', 'globex.example')
    t.same(changed.federatesWith, ['globex.example'])
    t.equal((await json('entry', 'show', made.id)).id, made.id)
    t.equal((await json('entry', 'show', 'spiffe://acme.example/cli')).id, made.id)
    t.match(await json('entry', 'delete', '/cli', '--dry-run'), { livingSvids: 0 })
    t.equal((await run('entry', 'delete', '/cli')).code, 0)
    t.match(await run('entry', 'show', '/cli'), { code: 1, err: /no entry for \/cli/ })
    t.match(await run('entry', 'change', '/cli'), { code: 2, err: /nothing to change/ })
  },
)

t.test('join tokens are listed and deleted', async (t) => {
  const { id } = await json('join-token', 'create', '--id', '/listed', '--ttl', '60')
  t.match(
    (await run('join-token', 'list')).out,
    new RegExp(`${id} +spiffe://acme.example/listed +usable`),
  )
  t.equal((await run('join-token', 'delete', id)).code, 0)
  t.notMatch((await run('join-token', 'list')).out, id)
})

t.test('wrong command lines say what helps', async (t) => {
  const folder = dataFolder(t)
  const out = join(folder, 'none')
  t.match(await run('svid', 'fetch', '--out', out), { code: 2, err: /one of --token-file/ })
  t.match(await run('svid', 'fetch', '--renew', '--jwt', '--out', out), { code: 2 })
  t.match(await run('svid', 'fetch', '--jwt', '--out', out), { code: 2, err: /--audience/ })
  t.match(await run('svid', 'fetch', '--renew', '--out', out), {
    code: 2,
    err: /no SVID to go on with[^]*--token-file/,
  })
  writeFileSync(join(folder, 'bad'), 'entente-join-v1.cut')
  t.match(await run('svid', 'fetch', '--token-file', join(folder, 'bad'), '--out', out), {
    code: 2,
    err: /checksum/,
  })
})

/** A TLS server that counts what it is told after the handshake. */
const impostor = async (t: Test, tls: TlsOptions) => {
  const heard: Buffer[] = []
  const server = createTlsServer(
    { ...tls, requestCert: true, rejectUnauthorized: false },
    (socket) => {
      socket.on('data', (data: Buffer) => heard.push(data)).on('error', () => undefined)
    },
  )
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, heard }
}

/** What the workload endpoint of an authority would present, or somebody else under it. */
const presented = (of: TestAuthority, id = workloadEndpointId(of.trustDomain)): TlsOptions => {
  const now = new Date()
  if (id === workloadEndpointId(of.trustDomain)) {
    const from = {
      rootCertificate: of.root,
      intermediate: undefined as never,
      issuer: of.issuer,
      usableUntil: new Date(now.getTime() + 3_600_000),
    }
    const svid = issueEndpointSvid(from, { id, dnsNames: [], seconds: 600, now })
    const chain = [svid.certificate, svid.intermediate, of.root]
    return { cert: chain.map((der) => toPem(der)).join(''), key: keyPemOf(svid) }
  }
  const keys = generateKeyPair()
  const prepared = prepareX509Svid({
    id,
    publicKey: spkiOf(keys.publicKey),
    dnsNames: [],
    notBefore: new Date(now.getTime() - BACKDATE_SECONDS * 1000),
    notAfter: new Date(now.getTime() + 600_000),
    issuer: of.issuer,
  })
  const { certificate } = signX509Svid(prepared, of.issuer)
  const chain = [certificate, of.intermediate, of.root].map((der) => toPem(der)).join('')
  return { cert: chain, key: toPem(exportPrivateKey(keys.privateKey), 'PRIVATE KEY') }
}

t.test('nothing is sent to a server that cannot prove to be the workload endpoint', async (t) => {
  const folder = dataFolder(t)
  const real = testAuthority('acme.example', { now: new Date() })
  const fake = testAuthority('acme.example', { now: new Date() })
  const globex = testAuthority('globex.example', { now: new Date() })
  const cases: readonly (readonly [string, TlsOptions, RegExp])[] = [
    ['another root of the same name', presented(fake), /does not prove to be/],
    ['another trust domain', presented(globex), /does not prove to be/],
    [
      'a workload',
      presented(real, parseSpiffeId('spiffe://acme.example/web')),
      /is spiffe:.*wanted/,
    ],
  ]
  for (const [what, tls, message] of cases) {
    const { address, heard } = await impostor(t, tls)
    const token = writeJoinToken({
      meshId: 'acme',
      trustDomain: real.trustDomain,
      secret: Buffer.alloc(32, 7),
      rootSha256: publicKeySha256(readCertificate(real.root).spki),
      address,
    })
    const file = join(folder, `${heard.length}-${address.replace(':', '-')}`)
    writeFileSync(file, token)
    const answer = await run('svid', 'fetch', '--token-file', file, '--out', join(folder, 'x'))
    t.match(answer, { code: 1, err: message }, what)
    t.equal(Buffer.concat(heard).length, 0, `${what} hears nothing`)
    t.notMatch(answer.err, 'entente-join-v1')
  }
})

t.test('a renewal checks the server against the bundle in the folder', async (t) => {
  const folder = dataFolder(t)
  const [tokenFile, out] = [join(folder, 'token'), join(folder, 'svid')]
  await json('join-token', 'create', '--id', '/careful', '--token-file', tokenFile)
  await json('svid', 'fetch', '--token-file', tokenFile, '--out', out)
  const fake = testAuthority('acme.example', { now: new Date() })
  const { address, heard } = await impostor(t, presented(fake))
  t.match(await run('svid', 'fetch', '--renew', '--out', out, '--address', address), {
    code: 1,
    err: /does not prove to be spiffe:\/\/acme\.example\/entente\/workload-endpoint/,
  })
  t.equal(heard.length, 0)
  t.match(await run('svid', 'fetch', '--renew', '--out', out, '--address', '127.0.0.1:1'), {
    code: 3,
    err: /no answer from the workload listener at 127\.0\.0\.1:1/,
  })
  t.match(await run('svid', 'fetch', '--renew', '--out', out, '--address', 'http://x'), { code: 2 })
})
