-- Lets a waiting automatic version into the queue, or ends it if the base image has changed since.
-- KEYS 9: waiting, 10: admitted. ARGV 1: member, 2: how many may be admitted, 3: due in (ms), 4: prefix of updates.
-- Returns 'admitted', 'full', 'superseded' or 'gone'; a repeated call is 'gone' and leaves the rest to the reconciler.
if not redis.call('ZSCORE', KEYS[9], ARGV[1]) then return 'gone' end
local state, update, image = unpack(redis.call('HMGET', VERSION, 'state', 'update', 'base_reference'))
if state ~= 'queued' then
  redis.call('ZREM', KEYS[9], ARGV[1])
  return 'gone'
end
if redis.call('HGET', ARGV[4] .. image, 'number') ~= update then
  local reason = 'The base image changed again before this version was built.'
  local refused = move(VERSION, ARGV[1], 'superseded', reason)
  if refused then return refused end
  redis.call('HSET', VERSION, 'failure', reason)
  redis.call('ZREM', KEYS[9], ARGV[1])
  return 'superseded'
end
if redis.call('ZCARD', KEYS[10]) >= tonumber(ARGV[2]) then return 'full' end
local now = now_ms()
redis.call('ZREM', KEYS[9], ARGV[1])
redis.call('ZADD', KEYS[10], ms(now), ARGV[1])
redis.call('ZADD', DUE, ms(now + ARGV[3]), ARGV[1])
redis.call('HSET', VERSION, 'enqueued_at', ms(now))
return 'admitted'
