import t from 'tap'
import { FakePeer } from '../support/fake-peer.ts'
import { federationApp } from '../federation/federation-app.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const federated = async (t: Parameters<typeof dataFolder>[0]) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const env = {
    ENTENTE_ADDR: await app.listen(),
    ENTENTE_DATA_DIR: dataFolder(t),
    ENTENTE_MESH: 'acme',
  }
  return { app, peer, entente: (...argv: readonly string[]) => ran(['federation', ...argv], env) }
}

t.test('a relationship is suspended and resumed, and the commands lead on', async (t) => {
  const { app, entente } = await federated(t)
  const dry = await entente('suspend', 'globex', '--dry-run')
  t.match(dry.out, /would be suspended/)
  t.match(dry.out, /trust-domain globex\.example +its SVIDs are no longer accepted/)
  t.equal((await app.show()).state, 'active')
  const done = await entente('suspend', 'globex', '--reason', 'drill')
  t.equal(done.code, 0, done.err)
  t.match(done.out, /is suspended; its state is suspended/)
  t.match(done.out, 'next:\n  entente federation resume globex')
  const shown = (await entente('show', 'globex')).out
  t.match(shown, /because +drill/)
  t.match(shown, /waiting for +our operator, who suspended it/)
  t.match((await entente('resume', 'globex')).out, /is resumed; its state is active/)
  const again = await entente('resume', 'globex')
  t.equal(again.code, 1)
  t.match(again.err, /allowed are: withdraw, suspend, terminate/)
})

t.test('an approval prints the keys that it makes trusted', async (t) => {
  const { entente } = await federated(t)
  t.match((await entente('withdraw', 'globex')).out, /our consent, which we withdrew/)
  const { out } = await entente('approve', 'globex')
  t.match(out, /is approved; its state is active/)
  t.match(out, /globex\.example +x509 +[0-9a-f]{64} +2\d{3}-/)
})

t.test('owner data is set, shown and taken away', async (t) => {
  const { entente } = await federated(t)
  const labels = '--label tier=gold --label region=eu'.split(' ')
  const times = '--expires-at 2099-01-31 --review-at 2098-12-01'.split(' ')
  const set = await entente('set', 'globex', '--contact', 'noc@globex.example', ...labels, ...times)
  t.equal(set.code, 0, set.err)
  t.match(set.out, /contact +noc@globex\.example/)
  t.match(set.out, /labels +region=eu, tier=gold/)
  t.match(set.out, /expires at +2099-01-31T00:00:00\.000Z/)
  const less = await entente('set', 'globex', '--label', 'tier-', '--expires-at', '')
  t.match(less.out, /labels +region=eu\n/)
  t.notMatch(less.out, /expires at/)
  const bad = await entente('set', 'globex', '--expires-at', 'tomorrow')
  t.match(bad.err, /wanted a date such as 2027-01-31/)
})

t.test('a change of parameters is proposed, listed, approved and dropped', async (t) => {
  const { app, peer, entente } = await federated(t)
  const fixed = '--trust-domain globex.example --profile https_spiffe --note moved'.split(' ')
  const change = (url: string) =>
    entente('change', 'globex', ...fixed, '--url', url, '--endpoint-id', peer.endpointId)
  const moved = peer.at('/moved')
  const proposed = await change(moved)
  t.equal(proposed.code, 0, proposed.err)
  t.match(proposed.out, /the change is proposed:/)
  t.match(proposed.out, /globex\.example changed +https_spiffe https:.*\/bundle .*\/moved/)
  const id = /proposal approve globex (\S+)/.exec(proposed.out)?.[1] ?? ''
  t.match((await entente('show', 'globex')).out, /waits for consent +ours: globex\.example changed/)
  t.match((await entente('proposal', 'list', 'globex')).out, /ours \(tester\) +pending +pending/)
  const dry = await entente('proposal', 'approve', 'globex', id, '--dry-run')
  t.match(dry.out, /the change would be in force/)
  t.match((await entente('proposal', 'approve', 'globex', id)).out, /the change is in force/)
  t.equal((await app.show()).domains[0]?.endpointUrl, moved)
  const again = /proposal drop globex (\S+)/.exec((await change(peer.url)).out)?.[1] ?? ''
  t.match((await entente('proposal', 'drop', 'globex', again)).out, /the change is dropped/)
  t.match((await entente('proposal', 'list', 'globex')).out, /no change waits for consent/)
  t.match((await entente('change', 'globex')).err, /give --trust-domain and --profile/)
})
