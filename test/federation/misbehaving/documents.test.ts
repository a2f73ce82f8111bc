import t from 'tap'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { FakeAuthority } from '../../support/fake-peer.ts'
import { answerOf, type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage } from '../../support/hostile-stage.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

let made = 1n

/** The peer's good document, its sequence a new one, with something done to its text. */
const edited = (edit: (document: string, peer: HostilePeer) => string | Uint8Array) => {
  return (peer: HostilePeer): void => peer.serves(edit(text(peer.bundle((made += 1n))), peer))
}
const document = (content: string | Uint8Array) => (peer: HostilePeer) => peer.serves(content)
const withSequence = (value: string) =>
  edited((good) => good.replace(/"spiffe_sequence":\d+/, `"spiffe_sequence":${value}`))
/** The good document with more entries, as text, before its own. */
const withEntries = (entries: (peer: HostilePeer) => string) =>
  edited((good, peer) => good.replace('"keys":[', `"keys":[${entries(peer)},`))

const NO_ARRAY = /malformed: member "keys" is no array/
const NO_SEQUENCE = /member "spiffe_sequence" is no integer from 0 to 18446744073709551615/
const MAINTENANCE = '{"status":"maintenance","retryAfter":60}'
const HTML = '<!doctype html><title>down for maintenance</title>'

const NO_BUNDLES: readonly HostileCase[] = [
  {
    title: 'a JSON object without keys never empties a stored bundle (spire: {} accepted)',
    arrange: document('{}'),
    says: NO_ARRAY,
  },
  { title: 'keys that are an object', arrange: document('{"keys":{}}'), says: NO_ARRAY },
  { title: 'keys that are null', arrange: document('{"keys":null}'), says: NO_ARRAY },
  { title: 'keys that are a string', arrange: document('{"keys":"[]"}'), says: NO_ARRAY },
  { title: 'Keys with a capital', arrange: document('{"Keys":[]}'), says: NO_ARRAY },
  { title: 'an array', arrange: document('[]'), says: /document is no JSON object/ },
  { title: 'null', arrange: document('null'), says: /document is no JSON object/ },
  { title: 'nothing at all', arrange: document(''), says: /malformed: document has its end/ },
  { title: 'a maintenance page in JSON, with 200', arrange: document(MAINTENANCE), says: NO_ARRAY },
  { title: 'a maintenance page in HTML, with 200', arrange: document(HTML), says: /malformed/ },
  {
    title: 'two members named keys',
    arrange: edited((good) => good.replace('{', '{"keys":[],')),
    says: /two members named "keys"/,
  },
  {
    title: 'two sequences, the lower one escaped',
    arrange: edited((good) => good.replace('{', String.raw`{"spiffe\u005fsequence":3,`)),
    says: /two members named "spiffe_sequence"/,
  },
  {
    title: 'a key with two uses',
    arrange: edited((good) => good.replace('"use"', '"use":"jwt-svid","use"')),
    says: /two members named "use"/,
  },
  {
    title: 'a bundle map where a bundle belongs',
    arrange: edited((good) => `{"trust_domains":{"globex.example":${good}}}`),
    says: NO_ARRAY,
  },
  {
    title: 'a document behind a byte order mark',
    arrange: edited((good) => `\ufeff${good}`),
    says: /malformed/,
  },
  {
    title: 'invalid UTF-8 in a member that nobody reads',
    arrange: edited((good) => Buffer.from(good.replace('{', '{"x":"\xff",'), 'latin1')),
    says: /document is not UTF-8/,
  },
  {
    title: 'a lone surrogate',
    arrange: edited((good) => good.replace('{', String.raw`{"x":"\ud800",`)),
    says: /lone surrogate/,
  },
  {
    title: 'UTF-16',
    arrange: edited((good) => Buffer.from(good, 'utf16le')),
    says: /malformed/,
  },
  {
    title: 'half a megabyte of brackets',
    arrange: edited((good) => good.replace('{', `{"x":${'['.repeat(500_000)},`)),
    says: /nested deeper than 32/,
  },
  {
    title: 'a document cut in its middle, with a Content-Length to match',
    arrange: edited((good) => good.slice(0, good.length / 2)),
    says: /malformed/,
  },
  {
    title: 'something behind the document',
    arrange: edited((good) => `${good}{}`),
    says: /malformed: document has "\{" where the end of the document is wanted/,
  },
  {
    title: 'comments and a comma too many',
    arrange: edited((good) => good.replace('{', '{/* ours */').replace(']', ',]')),
    says: /malformed/,
  },
]

const SEQUENCES: readonly HostileCase[] = [
  {
    title: 'a newer sequence beyond 2^53',
    arrange: withSequence('9007199254740993'),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'a sequence that is one lower, where doubles see no difference',
    arrange: withSequence('9007199254740992'),
    says: /went back from sequence 9007199254740993 to 9007199254740992; the stored one stays/,
  },
  {
    title: 'an old document served again (spire: sequence never compared)',
    arrange: (peer) => peer.serves(peer.bundle(1n)),
    says: /went back from sequence 9007199254740993 to 1; the stored one stays/,
  },
  {
    title: 'an old document with other keys served again (galadriel: replay of old bundles)',
    arrange: async (peer) => {
      const roots = [peer.root, await FakeAuthority.root('globex.example')]
      peer.serves(peer.bundle(2n, { roots }))
    },
    says: /went back from sequence/,
  },
  {
    title: 'the same sequence with another hint, taken with a warning',
    arrange: (peer) => peer.serves(peer.bundle(9_007_199_254_740_993n, { hint: 600 })),
    says: /other content under the same sequence 9007199254740993/,
    outcome: 'taken',
  },
  { title: 'a sequence of 2^64', arrange: withSequence('18446744073709551616'), says: NO_SEQUENCE },
  { title: 'a negative sequence', arrange: withSequence('-1'), says: NO_SEQUENCE },
  { title: 'a sequence of 1.5', arrange: withSequence('1.5'), says: NO_SEQUENCE },
  { title: 'a sequence of 1e30', arrange: withSequence('1e30'), says: NO_SEQUENCE },
  { title: 'a sequence in quotes', arrange: withSequence('"9"'), says: NO_SEQUENCE },
  { title: 'a sequence that is true', arrange: withSequence('true'), says: NO_SEQUENCE },
  { title: 'a sequence with a leading zero', arrange: withSequence('099'), says: /malformed/ },
  {
    title: 'a sequence of a million digits',
    arrange: withSequence('9'.repeat(1_000_000)),
    says: /integer of more than 1024 digits/,
  },
  {
    title: 'the sequence 2^64−1 comes out exact',
    arrange: withSequence('18446744073709551615'),
    says: /^$/,
    outcome: 'taken',
    afterwards: async (t, { app }) => {
      const [domain] = (await app.show('globex')).domains
      t.equal(domain?.bundle?.sequence, '18446744073709551615')
    },
  },
]

const AGAIN: readonly HostileCase[] = [
  {
    title: 'a refused document with an ETag of its own',
    arrange: (peer) => peer.serves('{}', 'etag: "refused"'),
    says: NO_ARRAY,
  },
  {
    title: 'and it is fetched and judged again at the next poll (galadriel: never retried)',
    arrange: (peer) => {
      const good = peer.bundle((made += 1n))
      peer.answers((socket, head) => {
        if (head.includes('"refused"')) socket.end('HTTP/1.1 304 Not Modified\r\n\r\n')
        else socket.end(answerOf(good))
      })
    },
    says: /^$/,
    outcome: 'taken',
    afterwards: (t, { peer }) => t.notMatch(peer.heads.at(-1), /"refused"/),
  },
]

const CROWDS: readonly HostileCase[] = [
  {
    title: '100,000 keys that are none',
    arrange: withEntries(() => Array.from({ length: 100_000 }, () => '{}').join(',')),
    says: /key 0 of globex\.example has no use.*/,
    outcome: 'taken',
  },
  {
    title: 'more authorities than anybody has, each a public-key operation',
    arrange: withEntries(() => {
      const point = Buffer.alloc(32, 1).toString('base64url')
      const key = (n: number): string =>
        `{"use":"jwt-svid","kid":"k${n}","kty":"EC","crv":"P-256","x":"${point}","y":"${point}"}`
      return Array.from({ length: 2001 }, (_, n) => key(n)).join(',')
    }),
    says: /has 200\d authorities, at most 2000 are allowed/,
  },
  {
    title: 'a kid of half a megabyte',
    arrange: withEntries(
      () => `{"use":"jwt-svid","kid":"${'k'.repeat(500_000)}","kty":"EC","crv":"P-256"}`,
    ),
    says: /key 0 of globex\.example/,
    outcome: 'taken',
  },
  {
    title: '100,000 members beside the keys',
    arrange: edited((good) => {
      const members = Array.from({ length: 50_000 }, (_, n) => `"m${n}":${n}`).join(',')
      return good.replace('{', `{${members},`)
    }),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'one certificate in a thousand entries',
    arrange: edited((good) => {
      const entry = /\[(\{.*\})\]/.exec(good)?.[1] ?? ''
      return good.replace('[', `[${Array.from({ length: 999 }, () => entry).join(',')},`)
    }),
    says: /repeats the certificate of an earlier entry/,
    outcome: 'taken',
  },
]

t.test('what is no bundle leaves the stored one in force', async (t) => {
  await endureAll(t, await hostileStage(t), NO_BUNDLES)
})

t.test('FE-37 sequences are compared exactly and never backwards', async (t) => {
  await endureAll(t, await hostileStage(t), SEQUENCES)
})

t.test('documents that come again, and documents as large as they may be', async (t) => {
  await endureAll(t, await hostileStage(t), [...AGAIN, ...CROWDS])
})
