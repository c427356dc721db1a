-- Takes versions that are due, and makes each due again later, so that two reconcilers do not do the same work.
-- KEYS: DUE
-- ARGV: limit, again_in_ms, version_prefix
-- Returns a flat list of app, number, state, attempt, how long (ms) ago it was enqueued last, whether it is automatic
-- ('1'), and whether somebody's lease is recorded ('1').
local DUE = unpack(KEYS)
local limit, again_in_ms, version_prefix = unpack(ARGV)
local now = now_ms()
local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', ms(now), 'LIMIT', 0, limit)) do
  local app, number = string.match(member, '^(%S+) (%d+)$')
  local state, attempt, enqueued_at, automatic, lease_until = unpack(redis.call('HMGET',
    version_prefix .. app .. ':' .. number, 'state', 'attempt', 'enqueued_at', 'automatic', 'lease_until'))
  if state then
    redis.call('ZADD', DUE, ms(now + again_in_ms), member)
    for _, value in ipairs({app, number, state, attempt, ms(now - (enqueued_at or now)), automatic or '0',
      lease_until and '1' or '0'}) do table.insert(reply, value) end
  else
    redis.call('ZREM', DUE, member)
  end
end
return reply
