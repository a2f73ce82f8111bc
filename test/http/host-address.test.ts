import t from 'tap'
import { addressFault } from '../../src/http/host-address.ts'

const label = 'a'.repeat(63)
const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`

t.test(
  'what others can reach is an address of an endpoint, gateway or control plane',
  async (t) => {
    for (const text of [
      '10.0.0.5',
      '100.64.0.1',
      '192.168.1.1',
      '172.31.255.255',
      '198.51.100.7',
      '8.8.8.8',
      'fd00::1',
      'FD00::1',
      '2001:db8::1',
      '2600:1f18::10',
      '::ffff:10.0.0.5',
      '64:ff9b::10.0.0.5',
      '64:ff9b:1::10.0.0.5',
      '64:ff9b:1:a00:0:500::',
      '2002:a00:5::1',
      'gw',
      'gw.acme.example',
      'xn--bcher-kva.example',
      '1.example',
      '3com',
      `${label}.example`,
      longest,
    ]) {
      t.equal(addressFault(text), undefined, text)
    }
  },
)

t.test('what nobody elsewhere can reach is refused with what it is', async (t) => {
  for (const [text, what] of [
    ['127.0.0.1', 'a loopback address'],
    ['127.8.9.10', 'a loopback address'],
    ['::1', 'a loopback address'],
    ['0.0.0.0', 'the unspecified address'],
    ['0.1.2.3', 'the unspecified address'],
    ['::', 'the unspecified address'],
    ['255.255.255.255', 'the broadcast address'],
    ['224.0.0.1', 'a multicast address'],
    ['ff02::1', 'a multicast address'],
    ['169.254.1.1', 'a link-local address'],
    ['fe80::1', 'a link-local address'],
    ['169.254.169.254', 'the metadata service of a cloud'],
    ['100.100.100.200', 'the metadata service of a cloud'],
    ['168.63.129.16', 'the metadata service of a cloud'],
    ['fd00:ec2::254', 'the metadata service of a cloud'],
    ['FD00:EC2:0:0::254', 'the metadata service of a cloud'],
    ['::ffff:127.0.0.1', 'a loopback address'],
    ['::FFFF:7f00:1', 'a loopback address'],
    ['::ffff:169.254.169.254', 'the metadata service of a cloud'],
    ['64:ff9b::7f00:1', 'a loopback address'],
    ['64:ff9b:1::7f00:1', 'a loopback address'],
    ['64:ff9b:1::a9fe:a9fe', 'the metadata service of a cloud'],
    ['::127.0.0.1', 'a loopback address'],
    ['::7f00:1', 'a loopback address'],
    ['::a9fe:a9fe', 'the metadata service of a cloud'],
    ['::ffff:0:169.254.169.254', 'the metadata service of a cloud'],
    ['2002:7f00:1::', 'a loopback address'],
    ['2002:a9fe:a9fe::1', 'the metadata service of a cloud'],
    ['fe80::1%eth0', 'a zone'],
    ['fd00::1%0', 'a zone'],
    ['localhost', 'whoever looks it up'],
    ['cart.localhost', 'whoever looks it up'],
  ] as const) {
    t.match(addressFault(text) ?? '', what, text)
  }
})

t.test('what is neither an IP address nor a DNS name in lower case is refused', async (t) => {
  for (const text of [
    '',
    ' ',
    'gw.acme.example.',
    '.gw',
    'a..b',
    'GW.acme.example',
    '*.acme.example',
    '*',
    '-gw.example',
    'gw-.example',
    'a_b.example',
    'bücher.example',
    `${label}a.example`,
    `${longest}a`,
    'gw.acme.example:443',
    '10.0.0.5:443',
    '[fd00::1]',
    '[fd00::1]:443',
    '10.0.0.5/32',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.5',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.0.0.1',
    'a.0x1',
    'https://gw.example',
    'user@gw.example',
    'gw.example\n',
    'gw\u0000',
    '::ffff:10.0.0.256',
    '1:2:3:4:5:6:7:8:9',
  ]) {
    t.match(addressFault(text) ?? '', /is no IP address, and as a DNS name/, JSON.stringify(text))
  }
})
