import t from 'tap'
import { checkHost, checkHostAndPort } from '../../../src/mesh/topology/address.ts'

t.test('a gateway has its port apart, a control plane may have it in its address', async (t) => {
  for (const text of ['gw.example', '10.0.0.5', 'fd00::1']) {
    t.doesNotThrow(() => checkHost(text, '/address'), text)
    t.doesNotThrow(() => checkHostAndPort(text, '/address'), text)
  }
  for (const text of ['cp.example:15012', '10.0.0.5:1', '[fd00::1]:65535', '[FD00::1]:443']) {
    t.throws(() => checkHost(text, '/address'), { code: 'INVALID_REQUEST' }, text)
    t.doesNotThrow(() => checkHostAndPort(text, '/address'), text)
  }
})

t.test('a refusal says what was found and what to write, at its field', async (t) => {
  for (const [text, found] of [
    ['cp.example:0', /port 0 is not 1 to 65535/],
    ['cp.example:65536', /port 65536 is not 1 to 65535/],
    ['cp.example:', /"cp.example:" is no IP address/],
    ['cp.example:123456', /is no IP address/],
    ['127.0.0.1:443', /"127.0.0.1" is a loopback address/],
    ['[::1]:443', /"::1" is a loopback address/],
    ['169.254.169.254:80', /the metadata service of a cloud/],
    ['fd00::1:443:x', /is no IP address/],
    ['[fd00::1]', /is no IP address/],
    ['[fe80::1%eth0]:443', /is no IP address/],
    ['localhost:443', /whoever looks it up/],
    ['CP.example:443', /"CP.example" is no IP address/],
    ['*.example:443', /"\*.example" is no IP address/],
  ] as const) {
    t.throws(
      () => checkHostAndPort(text, '/address'),
      { code: 'INVALID_REQUEST', message: found, fields: [{ pointer: '/address' }] },
      text,
    )
  }
  t.throws(() => checkHost('gw.example.', '/address'), {
    message: /; write an IP address, or a DNS name in lower case, without a port$/,
  })
})
