import t from 'tap'
import { type Resolve } from '../../../src/http/outbound-connect.ts'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { answerOf, type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage } from '../../support/hostile-stage.ts'

const found = (location: string): string =>
  `HTTP/1.1 302 Found\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`

/** Redirects every request to one place. */
const redirects = (location: string) => (peer: HostilePeer) =>
  peer.answers((socket) => socket.end(found(location)))

const NO_URL = /which is no valid endpoint URL/
const closed = (what: string) => new RegExp(`egress policy does not open ${what}`)

const REDIRECTS: readonly HostileCase[] = [
  {
    title: 'a redirect to itself',
    arrange: redirects('/bundle'),
    says: /go round in a circle/,
  },
  {
    title: 'a redirect there and back',
    arrange: (peer) =>
      peer.answers((socket, head) => {
        socket.end(found(head.startsWith('GET /bundle ') ? '/there' : '/bundle'))
      }),
    says: /go round in a circle/,
  },
  {
    title: 'more redirects than anybody needs',
    arrange: (peer) => {
      let hop = 0
      peer.answers((socket) => socket.end(found(`/hop${(hop += 1)}`)))
    },
    says: /redirects more than 5 times/,
  },
  {
    title: 'a redirect from https to http (spire: default redirect policy)',
    arrange: redirects('http://localhost/bundle'),
    says: NO_URL,
  },
  {
    title: 'a redirect to a URL with credentials',
    arrange: redirects('https://admin:secret@localhost/bundle'),
    says: NO_URL,
  },
  { title: 'a redirect to a file', arrange: redirects('file:///etc/passwd'), says: NO_URL },
  { title: 'a redirect without a target', arrange: redirects(''), says: /circle/ },
  {
    title: 'a redirect to a port of ours',
    arrange: redirects('https://localhost:8080/v1/meshes'),
    says: closed('localhost'),
  },
  {
    title: 'a redirect to another peer, under which the ID is wrong',
    arrange: (peer, { healthy }) => redirects(healthy.at('/bundle'))(peer),
    says: /does not chain to the stored bundle of the domain of spiffe:\/\/globex\.example/,
  },
  {
    title: 'a redirect whose target is a megabyte long',
    arrange: redirects(`/${'x'.repeat(1_000_000)}`),
    says: /headers of localhost:\d+ are too large/,
  },
]

/** Private, loopback, link-local and metadata addresses in every notation that some client understands. */
const ADDRESSES: readonly (readonly [string, RegExp])[] = [
  ['10.0.0.1', closed(String.raw`10\.0\.0\.1 port 443: it is a private address`)],
  ['10.1', closed(String.raw`10\.0\.0\.1 `)],
  ['167772161', closed(String.raw`10\.0\.0\.1 `)],
  ['0xa000001', closed(String.raw`10\.0\.0\.1 `)],
  ['0x0a.0.0.0x1', closed(String.raw`10\.0\.0\.1 `)],
  ['012.0.0.01', closed(String.raw`10\.0\.0\.1 `)],
  ['10.0.0.1.', closed(String.raw`10\.0\.0\.1`)],
  ['172.31.255.255', closed('172')],
  ['192.168.0.1', closed('192')],
  ['[fd00::1]', closed('fd00::1')],
  ['[::ffff:10.0.0.1]', closed('::ffff:a00:1')],
  ['[::ffff:a00:1]', closed('::ffff:a00:1')],
  ['[64:ff9b::a00:1]', closed('64:ff9b::a00:1')],
  ['[64:ff9b::10.0.0.1]', closed('64:ff9b::a00:1')],
  ['[64:ff9b:1::a00:1]', closed('64:ff9b:1::a00:1')],
  ['[2002:a00:1::]', closed('2002:a00:1::')],
  ['[2001::1]', closed('2001::1')],
  ['[::10.0.0.1]', closed('::a00:1')],
  ['127.0.0.1', closed(String.raw`127\.0\.0\.1 port 443: it is a loopback address`)],
  ['127.1', closed(String.raw`127\.0\.0\.1 `)],
  ['2130706433', closed(String.raw`127\.0\.0\.1 `)],
  ['0177.0.0.1', closed(String.raw`127\.0\.0\.1 `)],
  ['0x7f000001', closed(String.raw`127\.0\.0\.1 `)],
  ['127.255.255.254', closed('127')],
  ['0', closed(String.raw`0\.0\.0\.0 `)],
  ['0.0.0.0', closed('0')],
  ['[::]', closed('::')],
  ['[::1]', closed('::1')],
  ['[0:0:0:0:0:0:0:1]', closed('::1')],
  ['[::ffff:127.0.0.1]', closed('::ffff:7f00:1')],
  ['[64:ff9b::7f00:1]', closed('64:ff9b::7f00:1')],
  ['[2002:7f00:1::]', closed('2002:7f00:1::')],
  ['localhost.', closed('localhost')],
  ['a.b.localhost', closed('a.b.localhost')],
  ['169.254.1.1', closed('169.254.1.1 port 443: it is a link-local address')],
  ['[fe80::1]', closed('fe80::1')],
  ['[fe80::1%25eth0]', NO_URL],
  ['[fe80::1%eth0]', NO_URL],
  ['169.254.169.254', closed('.* the metadata service of a cloud')],
  ['2852039166', closed('.* the metadata service of a cloud')],
  ['0xa9fea9fe', closed('.* the metadata service of a cloud')],
  ['0251.0376.0251.0376', closed('.* the metadata service of a cloud')],
  ['169.254.43518', closed('.* the metadata service of a cloud')],
  ['[::ffff:a9fe:a9fe]', closed('.* the metadata service of a cloud')],
  ['[64:ff9b::a9fe:a9fe]', closed('.* the metadata service of a cloud')],
  ['[fd00:ec2::254]', closed('.* the metadata service of a cloud')],
  ['168.63.129.16', closed('.* the metadata service of a cloud')],
  ['100.100.100.200', closed('.* the metadata service of a cloud')],
  ['100.64.0.1', closed('100')],
  ['224.0.0.1', closed('224')],
  ['255.255.255.255', closed('255')],
  ['240.0.0.1', closed('240')],
  ['１２７.0.0.1', NO_URL],
  ['127。0。0。1', NO_URL],
  ['①②⑦.0.0.1', NO_URL],
  ['127.0.0.1%00.example', NO_URL],
  ['localhost%2f', NO_URL],
  ['1.2.3.4.5', NO_URL],
  ['256.256.256.256', NO_URL],
]

const NOTATIONS: readonly HostileCase[] = ADDRESSES.map(([host, says]) => ({
  title: `a redirect to ${host}`,
  arrange: (peer) =>
    peer.answers((socket) => socket.end(Buffer.from(found(`https://${host}/bundle`)))),
  says,
}))

t.test('redirects lead nowhere that a first request might not go', async (t) => {
  await endureAll(t, await hostileStage(t), REDIRECTS)
})

t.test('FE-43 no notation of an address that is not public is reached by a redirect', async (t) => {
  await endureAll(t, await hostileStage(t), NOTATIONS)
})

/** A name server that answers differently each time it is asked. */
class FickleNames {
  readonly asked: string[] = []
  answers: readonly string[] = ['127.0.0.1']

  readonly resolve: Resolve = async (host) => {
    this.asked.push(host)
    return this.answers.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
}

const rebinds =
  (names: FickleNames, ...answers: readonly string[]) =>
  (peer: HostilePeer) => {
    names.asked.length = 0
    names.answers = answers
    peer.connections = 0
    peer.onConnection = peer.good()
  }

const names = new FickleNames()

const REBINDING: readonly HostileCase[] = [
  {
    title:
      'a name that answers otherwise the second time is asked once, and the judged address is used',
    arrange: (peer) => {
      rebinds(names, '127.0.0.1')(peer)
      peer.answers((socket) => {
        names.answers = ['169.254.169.254']
        socket.end(answerOf(peer.document))
      })
    },
    says: /^$/,
    outcome: 'taken',
    afterwards: (t, { peer }) => {
      t.same(names.asked, ['peer.globex.example'], 'one look-up judges and connects')
      t.equal(peer.connections, 1)
    },
  },
  {
    title: 'a name that moves to a metadata service between two polls',
    arrange: rebinds(names, '169.254.169.254'),
    says: closed(String.raw`peer\.globex\.example \(169\.254\.169\.254\) .* the metadata service`),
  },
  {
    title: 'a name that moves to another loopback address',
    arrange: rebinds(names, '127.0.0.2'),
    says: closed(String.raw`peer\.globex\.example \(127\.0\.0\.2\)`),
  },
  {
    title: 'a name that moves to a mapped address',
    arrange: rebinds(names, '::ffff:10.0.0.1'),
    says: closed('.*private'),
  },
  {
    title: 'a name with an address that is none',
    arrange: rebinds(names, '10.0.0.1 '),
    says: /not an address|does not open/,
  },
  {
    title: 'a name without an address',
    arrange: rebinds(names),
    says: /has no address/,
  },
  {
    title: 'a name with private addresses beside the one that is open: only that one is used',
    arrange: rebinds(names, '10.0.0.1', '169.254.169.254', '127.0.0.1'),
    says: /^$/,
    outcome: 'taken',
    afterwards: (t, { peer }) => t.equal(peer.connections, 1),
  },
  {
    title: 'a redirect to a name that moves to a private address',
    arrange: (peer) => {
      rebinds(names, '127.0.0.1')(peer)
      peer.answers((socket) => {
        names.answers = ['192.168.7.7']
        socket.end(found(peer.at('/there', 'other.globex.example')))
      })
    },
    says: closed(String.raw`other\.globex\.example \(192\.168\.7\.7\)`),
  },
]

t.test('FE-43 DNS rebinding gains nothing: the checked address is the used one', async (t) => {
  const stage = await hostileStage(t, {
    resolve: names.resolve,
    host: 'peer.globex.example',
    egressAllow: ({ peer, healthy }) => [`127.0.0.1:${peer.port}`, `localhost:${healthy.port}`],
  })
  await endureAll(t, stage, [
    ...REBINDING,
    {
      title: 'a name that is back where it was',
      arrange: rebinds(names, '127.0.0.1'),
      says: /^$/,
      outcome: 'taken',
    },
  ])
})
