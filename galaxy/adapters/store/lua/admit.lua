-- Lets a waiting automatic version into the queue, or ends it if the base image has changed since.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, WAITING, ADMITTED
-- ARGV: member, in_flight, due_in_ms, update_prefix
--   member: the version's name in the sorted sets; in_flight: how many may be admitted.
-- Returns 'admitted', 'full', 'superseded' or 'gone'; a repeated call is 'gone' and leaves the rest to the reconciler.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, WAITING, ADMITTED = unpack(KEYS)
local member, in_flight, due_in_ms, update_prefix = unpack(ARGV)
-- include: move.lua
if not redis.call('ZSCORE', WAITING, member) then return 'gone' end
local state, update, image = unpack(redis.call('HMGET', VERSION, 'state', 'update', 'base_reference'))
if state ~= 'queued' then
  redis.call('ZREM', WAITING, member)
  return 'gone'
end
if redis.call('HGET', update_prefix .. image, 'number') ~= update then
  local refused = move(VERSION, 'superseded', reason_of('base_image_changed', {}))
  if refused then return refused end
  redis.call('ZREM', WAITING, member)
  return 'superseded'
end
if redis.call('ZCARD', ADMITTED) >= tonumber(in_flight) then return 'full' end
local now = now_ms()
redis.call('ZREM', WAITING, member)
redis.call('ZADD', ADMITTED, ms(now), member)
set_due(VERSION, now + due_in_ms)
redis.call('HSET', VERSION, 'enqueued_at', ms(now))
return 'admitted'
