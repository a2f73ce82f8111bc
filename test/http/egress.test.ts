import t from 'tap'
import { decideEgress, isLocalhostName } from '../../src/http/egress.ts'
import { formatEgressRule, parseEgressRule } from '../../src/http/egress-rule.ts'

const rules = (...texts: string[]) => texts.map(parseEgressRule)
const to = (address: string, host = address, port = 443) => ({ address, host, port })

t.test('public addresses need no rule', async (t) => {
  for (const address of [
    '93.184.216.34',
    '2606:4700::1111',
    '::ffff:93.184.216.34',
    '64:ff9b::5db8:d822',
  ]) {
    t.same(decideEgress(to(address), []), { allowed: true }, address)
  }
})

t.test('FE-43 every other address is refused without a rule, in every notation', async (t) => {
  const refused = [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '::ffff:127.0.0.1',
    '0.0.0.0',
    '0.1.2.3',
    '::',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '::ffff:10.0.0.1',
    '::ffff:0a00:1',
    '64:ff9b::a00:1',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a00:1',
    '::ffff:0:10.0.0.1',
    '::7f00:1',
    '::a00:1',
    '4000::1',
    '169.254.0.1',
    '169.254.169.254',
    '168.63.129.16',
    '100.64.0.1',
    '100.100.100.200',
    '192.0.0.192',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd00:ec2::254',
    'fec0::1',
    '2002:a00:1::',
    '2001:0:1::1',
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '198.18.0.1',
    'ff02::1',
    '2001:db8::1',
    '100::1',
    'not an address',
    '2130706433',
    '0x7f.1',
  ]
  for (const address of refused) t.equal(decideEgress(to(address), []).allowed, false, address)
})

t.test('a range opens its addresses, on its port only when it names one', async (t) => {
  t.equal(decideEgress(to('10.20.3.4'), rules('10.20.0.0/16')).allowed, true)
  t.equal(decideEgress(to('10.21.0.1'), rules('10.20.0.0/16')).allowed, false)
  t.equal(decideEgress(to('::ffff:10.20.3.4'), rules('10.20.0.0/16')).allowed, true)
  t.equal(decideEgress(to('64:ff9b::a14:304'), rules('10.20.0.0/16')).allowed, true)
  t.equal(decideEgress(to('10.20.3.4', 'x', 8443), rules('10.20.0.0/16:8443')).allowed, true)
  t.equal(decideEgress(to('10.20.3.4', 'x', 443), rules('10.20.0.0/16:8443')).allowed, false)
  t.equal(decideEgress(to('fd00::7'), rules('fd00::/8')).allowed, true)
  t.equal(decideEgress(to('10.0.0.7'), rules('fd00::/8')).allowed, false)
})

t.test('a metadata service needs a rule that names exactly it', async (t) => {
  t.equal(decideEgress(to('169.254.169.254'), rules('169.254.0.0/16')).allowed, false)
  t.equal(decideEgress(to('100.100.100.200'), rules('100.64.0.0/10')).allowed, false)
  t.equal(decideEgress(to('fd00:ec2::254'), rules('fd00::/8')).allowed, false)
  t.equal(decideEgress(to('169.254.169.254', 'peer.example'), rules('peer.example')).allowed, false)
  t.equal(decideEgress(to('169.254.169.254'), rules('169.254.169.254')).allowed, true)
})

t.test('a host name opens private addresses only, and only under that name', async (t) => {
  const named = rules('peer.internal:8443')
  t.equal(decideEgress(to('10.0.0.1', 'peer.internal', 8443), named).allowed, true)
  t.equal(decideEgress(to('10.0.0.1', 'PEER.internal.', 8443), named).allowed, true)
  t.equal(decideEgress(to('10.0.0.1', 'other.internal', 8443), named).allowed, false)
  t.equal(decideEgress(to('127.0.0.1', 'peer.internal', 8443), named).allowed, false)
  t.equal(decideEgress(to('169.254.1.1', 'peer.internal', 8443), named).allowed, false)
})

t.test(
  'localhost opens loopback for localhost names and literals, not for foreign names',
  async (t) => {
    const local = rules('localhost')
    for (const host of ['localhost', 'acme.localhost', 'localhost.', '127.0.0.1']) {
      t.equal(decideEgress(to('127.0.0.1', host), local).allowed, true, host)
    }
    t.equal(decideEgress(to('::1', '[::1]'), local).allowed, true)
    t.equal(decideEgress(to('127.0.0.1', 'evil.example'), local).allowed, false)
    t.equal(decideEgress(to('10.0.0.1', 'localhost'), local).allowed, false)
    t.equal(isLocalhostName('notlocalhost'), false)
  },
)

t.test('a refusal names what the address is and the rule that would open it', async (t) => {
  const cases: [string, string, string, string][] = [
    ['127.0.0.1', 'localhost', 'a loopback address', 'localhost:443'],
    ['10.0.0.1', 'peer.internal', 'a private address', 'peer.internal:443'],
    ['10.0.0.1', '10.0.0.1', 'a private address', '10.0.0.1:443'],
    ['169.254.169.254', 'peer.example', 'the metadata service of a cloud', '169.254.169.254:443'],
    ['fd00::1', '[fd00::1]', 'a private address', '[fd00::1]:443'],
    ['127.0.0.1', 'evil.example', 'a loopback address', '127.0.0.1:443'],
  ]
  for (const [address, host, what, rule] of cases) {
    const decision = decideEgress(to(address, host), [])
    t.same(decision, { allowed: false, what, rule })
    t.equal(decideEgress(to(address, host), rules(rule)).allowed, true, `${rule} opens it`)
  }
})

t.test('a rule has one written form', async (t) => {
  const forms: Record<string, string> = {
    '10.20.0.0/16': '10.20.0.0/16',
    '10.0.0.7/32': '10.0.0.7',
    '10.0.0.7:8443': '10.0.0.7:8443',
    '[fd00::1]:8443': '[fd00::1]:8443',
    'fd00::1': 'fd00::1',
    '[FD00:0:0::1]': 'fd00::1',
    'fd00::/8': 'fd00::/8',
    '[fd00::/8]:8443': 'fd00::/8:8443',
    'fd00::/8:8443': 'fd00::/8:8443',
    LOCALHOST: 'localhost',
    'localhost:8443': 'localhost:8443',
    'Peer.Internal:8443': 'peer.internal:8443',
  }
  for (const [written, form] of Object.entries(forms)) {
    t.equal(formatEgressRule(parseEgressRule(written)), form)
    t.equal(formatEgressRule(parseEgressRule(form)), form)
  }
})

t.test('anything else is no rule', async (t) => {
  const wrong = [
    '',
    ' ',
    '*',
    '*.internal',
    '10.20.3.4/16',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0/8',
    '0x7f.1',
    '2130706433',
    '127.1',
    '1.2.3.4.5',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    'a..b',
    '-a.b',
    'a b',
    'https://a.b',
    'a.b/c',
    '::ffff:10.0.0.1',
    '::ffff:10.0.0.0/104',
    'fe80::1%eth0',
    '[10.0.0.1',
    'é.example',
  ]
  for (const text of wrong)
    t.throws(() => parseEgressRule(text), { code: 'EGRESS_RULE_INVALID' }, text)
})
