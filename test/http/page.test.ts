import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import { decodeCursor, decodeIdCursor, decodeNumberCursor, pageOf } from '../../src/http/page.ts'

const cursorOf = (...key: unknown[]) => Buffer.from(JSON.stringify(key)).toString('base64url')
const isRefusal = (thrown: unknown) => isServiceError(thrown, 'INVALID_REQUEST')
const ID = '0b3f6c1e-6d1f-4a51-9d0a-6f8d3f2f9a77'

function refused(decode: () => unknown): boolean {
  try {
    decode()
    return false
  } catch (error) {
    return isRefusal(error)
  }
}

t.test('the cursor of a page leads on behind its last item', async (t) => {
  const { items, nextCursor } = pageOf(['a', 'b', 'c'], 2, (item) => [item])
  t.same(items, ['a', 'b'])
  t.same(decodeCursor(nextCursor ?? '', 1), ['b'])
})

t.test('the last page has no cursor', async (t) => {
  t.equal(pageOf(['a', 'b'], 2, (item) => [item]).nextCursor, null)
})

t.test('a cursor of a list by id holds a UUID', async (t) => {
  t.equal(decodeIdCursor(undefined), undefined)
  t.equal(decodeIdCursor(cursorOf(ID)), ID)
})

t.test('a cursor of a list by number holds up to 18 digits', async (t) => {
  t.equal(decodeNumberCursor(undefined), undefined)
  t.equal(decodeNumberCursor(cursorOf('900000000000000001')), 900000000000000001n)
})

t.test('a cursor that another list gave out, or nobody, is refused', async (t) => {
  for (const wrong of ['x', cursorOf('shop'), cursorOf(ID, ID), cursorOf(7), cursorOf()]) {
    t.ok(
      refused(() => decodeIdCursor(wrong)),
      wrong,
    )
    t.ok(
      refused(() => decodeNumberCursor(wrong)),
      wrong,
    )
  }
  t.ok(
    refused(() => decodeNumberCursor(cursorOf('9223372036854775808'))),
    'beyond 64 bits',
  )
})

t.test('no cursor brings a NUL into a query', async (t) => {
  t.same(decodeCursor(cursorOf('shop', 'cart'), 2), ['shop', 'cart'])
  t.ok(refused(() => decodeCursor(cursorOf('shop', 'ca\0rt'), 2)))
})
